//! One SQL statement that reads, whatever the database.
//!
//! The text is cut into words by the rules that all common databases share; where they would cut it differently (a backslash
//! before a quote, `#`, dollar quotes, `--` without a space), it is refused. So what is judged is what runs. What a function
//! does that the database's owner wrote is not known here: rights that only read belong into the database as well.

/// What a statement may begin with.
const BEGINNINGS: [&str; 4] = ["select", "with", "explain", "show"];

/// Words that change something, or that begin another statement where no semicolon is needed between two.
const CHANGING: [&str; 41] = [
    "alter",
    "attach",
    "backup",
    "bulk",
    "copy",
    "create",
    "dbcc",
    "declare",
    "delete",
    "deny",
    "detach",
    "drop",
    "dumpfile",
    "exec",
    "execute",
    "grant",
    "handler",
    "insert",
    "install",
    "into",
    "kill",
    "merge",
    "opendatasource",
    "openquery",
    "openrowset",
    "outfile",
    "pragma",
    "print",
    "raiserror",
    "reconfigure",
    "reindex",
    "restore",
    "revoke",
    "set",
    "shutdown",
    "truncate",
    "update",
    "updatetext",
    "vacuum",
    "waitfor",
    "writetext",
];

/// What stands behind `for` where rows are locked.
const LOCKING: [&str; 4] = ["update", "share", "no", "key"];

/// Functions that change, wait, run another statement, or reach files and other places. A star stands for any end.
const FUNCTIONS: &[&str] = &[
    "benchmark",
    "crosstab*",
    "cursor_to_xml*",
    "database_to_xml*",
    "dblink*",
    "edit",
    "eval",
    "executable",
    "file",
    "fts3_tokenizer",
    "get_lock",
    "glob",
    "hdfs",
    "jdbc",
    "load_extension",
    "load_file",
    "lo_*",
    "nextval",
    "odbc",
    "parquet_scan",
    "pg_advisory*",
    "pg_cancel*",
    "pg_create*",
    "pg_drop*",
    "pg_export*",
    "pg_file*",
    "pg_import*",
    "pg_logical*",
    "pg_ls_*",
    "pg_notify",
    "pg_promote",
    "pg_read_*",
    "pg_reload*",
    "pg_replication*",
    "pg_rotate*",
    "pg_sleep*",
    "pg_stat_file",
    "pg_stat_reset*",
    "pg_switch*",
    "pg_terminate*",
    "pg_write*",
    "query_to_xml*",
    "read_blob",
    "read_csv*",
    "read_json*",
    "read_parquet",
    "read_text",
    "readfile",
    "remote",
    "remotesecure",
    "s3*",
    "schema_to_xml*",
    "set_config",
    "setval",
    "sleep",
    "sp_*",
    "sys_e*",
    "ts_rewrite",
    "ts_stat",
    "url",
    "writefile",
    "xp_*",
    "xpath_table",
];

/// Packages of functions that do such things, by the beginnings of their names.
const PACKAGES: [&str; 2] = ["dbms_", "utl_"];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A bare word, in small letters.
    Word(String),
    /// A text or a quoted name.
    Quoted,
    /// Anything else that is not white.
    Mark(char),
}

/// Whether it is one statement that reads.
pub(super) fn judge(text: &str) -> Result<(), String> {
    let tokens = tokens(text).map_err(str::to_owned)?;
    let end = tokens.iter().position(|token| *token == Token::Mark(';')).unwrap_or(tokens.len());
    if end + 1 < tokens.len() {
        return Err("it is more than one SQL statement".to_owned());
    }
    let statement = tokens.get(..end).unwrap_or_default();
    let first = statement.iter().find(|token| **token != Token::Mark('('));
    let Some(Token::Word(first)) =
        first.filter(|first| matches!(first, Token::Word(word) if BEGINNINGS.contains(&word.as_str())))
    else {
        return Err("it is no SELECT, WITH, EXPLAIN or SHOW statement".to_owned());
    };
    for (at, token) in statement.iter().enumerate() {
        if *token == Token::Quoted && statement.get(at + 1) == Some(&Token::Mark('(')) {
            return Err("it calls something by a name in quotes".to_owned());
        }
        let Token::Word(word) = token else { continue };
        let before = at.checked_sub(1).and_then(|at| statement.get(at));
        let after = statement.get(at + 1);
        let calls = after == Some(&Token::Mark('('));
        // Behind a dot it is the name of a column or table.
        let is_name = before == Some(&Token::Mark('.')) && !calls;
        let shows = first == "show" && word == "create";
        if !is_name && !shows && (CHANGING.contains(&word.as_str()) || word == "replace" && !calls) {
            return Err(format!("it has the word {}, which can change something", word.to_uppercase()));
        }
        if calls && is_changing(word) {
            return Err(format!("it calls {word}, which does more than to read"));
        }
        let is_package =
            after == Some(&Token::Mark('.')) && PACKAGES.iter().any(|known| word.starts_with(known));
        if is_package {
            return Err(format!("it uses {word}, which does more than to read"));
        }
        if word == "for" && matches!(after, Some(Token::Word(lock)) if LOCKING.contains(&lock.as_str())) {
            return Err("it locks the rows that it reads".to_owned());
        }
    }
    Ok(())
}

fn is_changing(function: &str) -> bool {
    FUNCTIONS.iter().any(|known| match known.strip_suffix('*') {
        Some(beginning) => function.starts_with(beginning),
        None => function == *known,
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err("it has control characters");
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            ' ' | '\t' | '\n' | '\r' => tail,
            '-' if tail.starts_with('-') => line_comment(tail)?,
            '/' if tail.starts_with('*') => block_comment(tail)?,
            '\'' | '"' => {
                tokens.push(Token::Quoted);
                quoted(c, tail)?
            }
            '`' => {
                tokens.push(Token::Quoted);
                name(tail)?
            }
            '#' => return Err("it has a `#`, which begins a comment in some databases"),
            '\\' => return Err("it has a backslash outside of a text"),
            '$' if !tail.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err("it has dollar quotes, which not all databases know");
            }
            c if c.is_ascii_digit() => {
                tokens.push(Token::Mark('0'));
                number(rest)?
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                let word = word.to_lowercase();
                if matches!(word.as_str(), "q" | "nq") && tail.starts_with('\'') {
                    return Err("it has quotes that not all databases know");
                }
                tokens.push(Token::Word(word));
                tail
            }
            c if c.is_ascii() => {
                tokens.push(Token::Mark(c));
                tail
            }
            _ => return Err("it has signs outside of texts that are no part of SQL"),
        };
    }
    Ok(tokens)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What follows a number. Some databases read on in the middle of a word: `1update` is a number and a word to them.
fn number(text: &str) -> Result<&str, &'static str> {
    let skip = |text: &'_ str, of: fn(char) -> bool| text.find(|c: char| !of(c)).unwrap_or(text.len());
    let digits = |c: char| c.is_ascii_digit() || c == '_';
    let mut end = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => 2 + skip(hex, |c| c.is_ascii_hexdigit()),
        None => {
            let whole = skip(text, digits);
            let fraction = text.get(whole..).unwrap_or_default().strip_prefix('.');
            whole + fraction.map_or(0, |fraction| 1 + skip(fraction, digits))
        }
    };
    let exponent = text.get(end..).unwrap_or_default().strip_prefix(['e', 'E']);
    if let Some(exponent) = exponent {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let power = skip(exponent.get(sign..).unwrap_or_default(), |c| c.is_ascii_digit());
        end += if power > 0 { 1 + sign + power } else { 0 };
    }
    let rest = text.get(end..).unwrap_or_default();
    if rest.starts_with(is_of_word) { Err("it has a number that runs into a word") } else { Ok(rest) }
}

/// What follows a comment up to the end of its line; the text begins with its second dash.
fn line_comment(text: &str) -> Result<&str, &'static str> {
    let comment = text.get(1..).unwrap_or_default();
    // MySQL takes two dashes for a comment only before a space.
    if !comment.is_empty() && !comment.starts_with([' ', '\t', '\n', '\r']) {
        return Err("it has `--` without a space, which is no comment in all databases");
    }
    let end = comment.find('\n').unwrap_or(comment.len());
    let (inner, rest) = comment.split_at(end);
    // Some databases end a comment there.
    if inner.trim_end_matches('\r').contains('\r') || inner.ends_with('\r') && rest.is_empty() {
        return Err("it has a line break in a comment that not all databases know");
    }
    Ok(rest)
}

/// What follows a comment; the text begins with its star.
fn block_comment(text: &str) -> Result<&str, &'static str> {
    let (inner, rest) =
        text.get(1..).and_then(|text| text.split_once("*/")).ok_or("it has a comment without an end")?;
    let runs = inner.starts_with(['!', '+']) || inner.starts_with("M!");
    if runs || inner.contains("/*") {
        return Err("it has a comment that some databases run, or end elsewhere");
    }
    Ok(rest)
}

/// What follows a text or a name in these quotes.
fn quoted(quote: char, text: &str) -> Result<&str, &'static str> {
    let mut rest = text;
    loop {
        let at = rest.find(quote).ok_or("it has a text without an end")?;
        if rest.get(..at).unwrap_or_default().ends_with('\\') {
            return Err("it has a backslash before a quote, which not all databases read alike");
        }
        rest = rest.get(at + 1..).unwrap_or_default();
        match rest.strip_prefix(quote) {
            Some(more) => rest = more,
            None => return Ok(rest),
        }
    }
}

/// What follows a name in backticks, which are no quotes everywhere: so it has to be plain.
fn name(text: &str) -> Result<&str, &'static str> {
    let (name, rest) = text.split_once('`').ok_or("it has a name without an end")?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.' | '$');
    if name.chars().all(plain) { Ok(rest) } else { Err("it has a name in backticks that is no plain name") }
}

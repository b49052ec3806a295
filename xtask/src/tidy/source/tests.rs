use super::*;

fn code(text: &str) -> String {
    Source::scan(text).code
}

#[test]
fn offsets_and_lines_never_move() {
    let text = "let a = \"x{\ny\"; // brace {\n/* ü { */ let ü = r#\"}\"#;\n";
    let source = Source::scan(text);
    assert_eq!(source.code.len(), text.len());
    assert_eq!(source.comments.len(), text.len());
    assert_eq!(source.code.matches('\n').count(), 3);
}

#[test]
fn braces_in_literals_and_comments_are_blanked() {
    for text in [
        "\"{\"",
        "\"\\\"{\"",
        "b\"{\"",
        "c\"{\"",
        "r\"{\"",
        "r#\"\"{\"#",
        "br##\"\"#{\"##",
        "'{'",
        "'\\''; '{'",
        "b'{'",
        "// {",
        "/* /* { */ { */",
    ] {
        assert!(!code(text).contains('{'), "{text}");
    }
}

#[test]
fn code_after_a_literal_is_code_again() {
    for text in
        ["\"a\"{", "'a'{", "'\\u{1F600}'{", "r#\"a\"#{", "/* a */{", "&'a T{", "r#fn{", "'ü'{", "for\"\"{"]
    {
        assert!(code(text).ends_with('{'), "{text}");
    }
}

#[test]
fn lifetimes_are_not_characters() {
    assert_eq!(code("fn f<'a>(x: &'a str) -> &'a str { x }"), "fn f<'a>(x: &'a str) -> &'a str { x }");
}

#[test]
fn comments_are_kept_apart() {
    let source = Source::scan("let a = \"no\"; // yes\n");
    assert!(source.comments.contains("yes") && !source.comments.contains("no"));
    assert!(!source.code.contains("yes"));
}

#[test]
fn functions_are_measured_from_fn_to_brace() {
    let source =
        Source::scan("/// Doc {\n#[a]\npub async fn f(\n    a: u8,\n) -> X {\n    \"}\";\n}\nfn g() {}\n");
    let found: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines, f.public)).collect();
    assert_eq!(found, [("f".to_owned(), 3, 5, true), ("g".to_owned(), 8, 1, false)]);
}

#[test]
fn declarations_and_pointers_are_not_functions() {
    assert!(
        Source::scan("trait T { fn f(&self) -> [u8; 4]; }\ntype F = fn(u8) -> u8;").functions().is_empty()
    );
}

#[test]
fn parameter_types_survive_generics_and_closures() {
    let source = Source::scan(
        "pub(crate) fn f<F: Fn(u8) -> u8>(&self, map: HashMap<u8, bool>, on: bool, f: impl Fn(bool) -> u8) {}",
    );
    let types: Vec<_> = source.functions().into_iter().flat_map(|f| f.parameter_types).collect();
    assert_eq!(types, ["HashMap<u8, bool>", "bool", "impl Fn(bool)    u8"]);
}

#[test]
fn inline_tests_are_not_product() {
    let source =
        Source::scan("fn a() {\n\n}\n// note\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
    assert_eq!(source.product_lines(), 3);
}

#[test]
fn words_are_whole() {
    assert_eq!(words("unsafe unsafe_code an_unsafe", "unsafe").count(), 1);
}

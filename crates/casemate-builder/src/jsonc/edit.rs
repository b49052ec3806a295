//! Setting and removing one member, leaving all other bytes as they are.

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{Document, Fault, Member, Node, Object};

impl Document<'_> {
    /// Sets the member that the path of names leads to, making the objects on the way where they are missing.
    /// `None` when it has this value already.
    ///
    /// A new member goes behind the last one of its object, indented and with a trailing comma as its
    /// neighbors are; an object on one line stays on one line.
    ///
    /// # Errors
    /// When something on the way is not an object, or when the value cannot be written as JSON.
    pub fn set<T: Serialize>(&self, path: &[&str], value: &T) -> Result<Option<String>, Fault> {
        let mut node = &self.root;
        let mut rest = path;
        while let Some((name, below)) = rest.split_first() {
            let object = self.object_at(node)?;
            let Some(member) = object.members.iter().find(|member| member.name == *name) else {
                let nest = Nest { path: below, value };
                return self.insert(node, object, (name, &nest)).map(Some);
            };
            node = &member.value;
            rest = below;
        }
        let wanted = serde_json::to_value(value).map_err(|_| self.unwritable(node))?;
        if node.value() == wanted {
            return Ok(None);
        }
        let layout = self.layout(node.span.start);
        let text = layout.render(value).ok_or_else(|| self.unwritable(node))?;
        Ok(Some(self.splice([(node.span.start, node.span.end, text)])))
    }

    /// Removes the member that the path of names leads to. `None` when it is not there.
    ///
    /// Comments stay; an object that is left with nothing but white space becomes `{}`.
    ///
    /// # Errors
    /// When something on the way is not an object.
    pub fn remove(&self, path: &[&str]) -> Result<Option<String>, Fault> {
        let Some((name, way)) = path.split_last() else { return Ok(None) };
        let mut node = &self.root;
        for step in way {
            self.object_at(node)?;
            let Some(next) = node.get(step) else { return Ok(None) };
            node = next;
        }
        let object = self.object_at(node)?;
        let Some(index) = object.members.iter().position(|member| member.name == *name) else {
            return Ok(None);
        };
        let Some(member) = object.members.get(index) else { return Ok(None) };
        if object.members.len() == 1 && self.is_all_of(node, member) {
            return Ok(Some(self.splice([(node.span.start, node.span.end, "{}".to_owned())])));
        }
        // A last member without a comma takes the comma before it along; any other takes its own.
        let before = index.checked_sub(1).and_then(|previous| object.members.get(previous));
        let comma = member.comma.or_else(|| before.and_then(|previous| previous.comma));
        let cut = (self.cut_start(member), member.value.span.end, String::new());
        Ok(Some(match comma {
            Some(comma) => self.splice([cut, (comma, comma + 1, String::new())]),
            None => self.splice([cut]),
        }))
    }

    fn insert<T: Serialize>(
        &self,
        node: &Node,
        object: &Object,
        (name, value): (&str, &T),
    ) -> Result<String, Fault> {
        let layout = self.layout_inside(node, object);
        let value = layout.render(value).ok_or_else(|| self.unwritable(node))?;
        let member = format!("{}:{}{value}", serde_json::Value::from(name), layout.colon_space());
        let at = object.tail.solid_end;
        let Some(last) = object.members.last() else {
            let empty = self.blank(node.span.start + 1, node.span.end - 1);
            let closes_here = empty && !self.slice(at, node.span.end).contains('\n');
            let end = if closes_here { layout.outer_line() } else { String::new() };
            return Ok(self.splice([(at, at, format!("{}{member}{end}", layout.line()))]));
        };
        Ok(match last.comma {
            Some(_) => self.splice([(at, at, format!("{}{member},", layout.line()))]),
            None => {
                let end = last.value.span.end;
                self.splice([(end, end, ",".to_owned()), (at, at, format!("{}{member}", layout.line()))])
            }
        })
    }

    /// Where the removal of a member begins: behind what stands before it, its line break included, unless
    /// that would pull what follows into a line comment.
    fn cut_start(&self, member: &Member) -> usize {
        let start = member.lead.solid_end;
        let behind = self.slice(member.value.span.end, self.text.len());
        let behind = behind.trim_start_matches([',', ' ', '\t', '\r']);
        if !member.lead.line_comment || behind.starts_with('\n') {
            return start;
        }
        let newline = self.slice(start, member.name_start).find('\n');
        newline.map_or(start, |newline| start + newline + 1)
    }

    fn layout_inside(&self, node: &Node, object: &Object) -> Layout {
        let outer = self.layout(node.span.start);
        match object.members.first() {
            Some(first) => {
                let lead = self.slice(node.span.start + 1, first.name_start);
                let colon = self.slice(first.name_start, first.value.span.start);
                let compact = !lead.contains('\n') && !object.tail.line_comment;
                let spaced = colon.ends_with([' ', '\t', '\n']) || !compact;
                let inner = match lead.rsplit_once('\n') {
                    Some((_, indent)) if indent.trim().is_empty() => indent.to_owned(),
                    _ => format!("{}{}", outer.indent, outer.unit),
                };
                Layout { outer: outer.indent, indent: inner, compact, spaced, ..outer }
            }
            // An empty object opens up, unless the whole document stands on one line.
            None => {
                let inner = format!("{}{}", outer.indent, outer.unit);
                let compact = outer.compact && !object.tail.line_comment;
                Layout { outer: outer.indent, indent: inner, compact, spaced: !compact, ..outer }
            }
        }
    }

    /// The layout around a position: the indentation of its line, and the habits of the document.
    fn layout(&self, at: usize) -> Layout {
        let line = self.slice(0, at).rsplit('\n').next().unwrap_or_default();
        let indent = line.split(|c: char| c != ' ' && c != '\t').next().unwrap_or_default().to_owned();
        let first = self.root.object().and_then(|object| object.members.first());
        let lead = first.map_or("", |first| self.slice(self.root.span.start, first.name_start));
        let unit = lead.rsplit_once('\n').map(|(_, unit)| unit).filter(|unit| !unit.is_empty());
        let unit = unit.filter(|unit| unit.trim().is_empty()).unwrap_or("  ").to_owned();
        let compact = first.is_some() && !self.slice(self.root.span.start, self.root.span.end).contains('\n');
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        Layout { outer: indent.clone(), indent, unit, newline, compact, spaced: !compact }
    }

    /// Whether nothing but white space surrounds the member in its object.
    fn is_all_of(&self, node: &Node, member: &Member) -> bool {
        let behind = self.slice(member.value.span.end, node.span.end - 1);
        let behind = if member.comma.is_some() { behind.replacen(',', "", 1) } else { behind.to_owned() };
        self.blank(node.span.start + 1, member.name_start) && behind.trim().is_empty()
    }

    fn object_at<'n>(&self, node: &'n Node) -> Result<&'n Object, Fault> {
        let fault = || Fault::at(self.text, node.span.start, "expected an object here");
        node.object().ok_or_else(fault)
    }

    fn unwritable(&self, node: &Node) -> Fault {
        Fault::at(self.text, node.span.start, "the new value cannot be written as JSON")
    }

    fn blank(&self, start: usize, end: usize) -> bool {
        self.slice(start, end).trim().is_empty()
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Replaces byte ranges, which may touch but not overlap; of two at one place the first comes first.
    fn splice<const N: usize>(&self, mut edits: [(usize, usize, String); N]) -> String {
        edits.sort_by_key(|(start, _, _)| *start);
        let mut out = String::with_capacity(self.text.len() + 256);
        let mut at = 0;
        for (start, end, new) in &edits {
            out.push_str(self.slice(at, *start));
            out.push_str(new);
            at = *end;
        }
        out.push_str(self.slice(at, self.text.len()));
        out
    }
}

/// How the neighborhood of an edit is laid out.
struct Layout {
    /// Indentation of the line that opens the object.
    outer: String,
    /// Indentation of the members.
    indent: String,
    /// One step of indentation.
    unit: String,
    newline: &'static str,
    /// Everything on one line.
    compact: bool,
    /// A space behind `:` and `,`.
    spaced: bool,
}

impl Layout {
    fn line(&self) -> String {
        match (self.compact, self.spaced) {
            (true, true) => " ".to_owned(),
            (true, false) => String::new(),
            (false, _) => format!("{}{}", self.newline, self.indent),
        }
    }

    fn outer_line(&self) -> String {
        if self.compact { String::new() } else { format!("{}{}", self.newline, self.outer) }
    }

    fn colon_space(&self) -> &'static str {
        if self.spaced { " " } else { "" }
    }

    fn render<T: Serialize>(&self, value: &T) -> Option<String> {
        if self.compact {
            return serde_json::to_string(value).ok();
        }
        let mut out = Vec::new();
        let formatter = PrettyFormatter::with_indent(self.unit.as_bytes());
        value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).ok()?;
        let line = format!("{}{}", self.newline, self.indent);
        Some(String::from_utf8(out).ok()?.replace('\n', &line))
    }
}

/// A value inside the objects that a path still lacks.
struct Nest<'a, T> {
    path: &'a [&'a str],
    value: &'a T,
}

impl<T: Serialize> Serialize for Nest<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((name, below)) = self.path.split_first() else { return self.value.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, &Nest { path: below, value: self.value })?;
        map.end()
    }
}

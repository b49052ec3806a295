//! Resources in answers, by the URIs that the joined endpoint knows: links, embedded resources and what was read.

use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;

use crate::catalog::wrap_uri;

/// The result with every resource under its joined URI; the same bytes when it names none.
pub(super) fn renamed(server: &ServerName, result: Raw) -> Raw {
    let Some(members) = result.members() else { return result };
    let mut edit = members.edit();
    for name in ["content", "contents", "messages"] {
        let Some(list) = members.get(name).and_then(|list| list.elements()) else { continue };
        let renamed: Vec<Option<Raw>> = list.iter().map(|raw| element(server, raw)).collect();
        if renamed.iter().any(Option::is_some) {
            let list = list.iter().zip(&renamed).map(|(old, new)| new.as_ref().unwrap_or(old));
            edit = edit.set(name, Raw::array(list));
        }
    }
    edit.finish()
}

/// One element: a content block, a prompt message with one or several of them, or the contents of a resource.
fn element(server: &ServerName, raw: &Raw) -> Option<Raw> {
    let block = raw.members()?;
    match block.string("type").as_deref() {
        Some("resource_link") => with_uri(server, &block),
        Some("resource") => {
            let inner = with_uri(server, &block.object("resource")?)?;
            Some(block.edit().set("resource", inner).finish())
        }
        Some(_) => None,
        None if block.has("uri") => with_uri(server, &block),
        None => {
            let content = block.get("content")?;
            let inner = match content.elements() {
                None => element(server, &content)?,
                Some(list) => {
                    let renamed: Vec<Raw> =
                        list.iter().map(|raw| element(server, raw).unwrap_or_else(|| raw.clone())).collect();
                    (renamed != list).then(|| Raw::array(&renamed))?
                }
            };
            Some(block.edit().set("content", inner).finish())
        }
    }
}

fn with_uri(server: &ServerName, holder: &Members) -> Option<Raw> {
    let uri = holder.string("uri")?;
    Some(holder.edit().set("uri", Raw::string_of(&wrap_uri(server, &uri))).finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_mcp::json::Limits;
    use expect_test::{Expect, expect};

    fn check(text: &'static str, expected: Expect) {
        let raw = Raw::check(text.into(), &Limits::default()).unwrap();
        expected.assert_eq(renamed(&ServerName::parse("fs").unwrap(), raw).as_str());
    }

    #[test]
    fn resources_get_their_joined_uris_wherever_they_stand() {
        check(
            r#"{"content":[{"type":"text","text":"uri"},{"type":"resource_link","uri":"a:b","name":"n"},{"type":"resource","resource":{"uri":"c:d","text":"t"}}]}"#,
            expect![[
                r#"{"content":[{"type":"text","text":"uri"},{"type":"resource_link","uri":"casemate://fs/a:b","name":"n"},{"type":"resource","resource":{"uri":"casemate://fs/c:d","text":"t"}}]}"#
            ]],
        );
        check(
            r#"{"contents":[{"uri":"casemate://git/x","text":"claims another's"}]}"#,
            expect![[r#"{"contents":[{"uri":"casemate://fs/casemate://git/x","text":"claims another's"}]}"#]],
        );
        check(
            r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:b"}}},{"role":"user","content":[{"type":"text"}]}]}"#,
            expect![[
                r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"casemate://fs/a:b"}}},{"role":"user","content":[{"type":"text"}]}]}"#
            ]],
        );
    }

    #[test]
    fn what_names_no_resource_is_the_same_bytes() {
        let text = r#"{ "content" : [ {"type":"text","text":"x"} ] , "structuredContent":{"uri":"a:b"} }"#;
        check(
            text,
            expect![[
                r#"{ "content" : [ {"type":"text","text":"x"} ] , "structuredContent":{"uri":"a:b"} }"#
            ]],
        );
    }
}

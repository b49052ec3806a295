use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use casemate_mcp::json::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LIMITS: ResultLimits = ResultLimits {
    oversized: Oversized::Link,
    text_max: 64,
    media_max: 48,
    preview_chars: 10,
    subject_bytes_max: 1 << 20,
    total_bytes_max: 1 << 20,
    life: std::time::Duration::from_secs(3600),
};

fn about() -> About {
    About {
        name: "files__read".into(),
        is_promised: false,
        has_links: true,
        is_nested: false,
        limits: LIMITS,
    }
}

/// What is shown of a result and the parts that are kept; `None` of one that is not too large.
fn composed(result: &Value, about: &About) -> Option<(Value, Vec<Value>)> {
    let result = Members::check(result.to_string().into(), &Limits::default()).unwrap();
    let blocks = Blocks::too_large(&result, about)?;
    let link = Link::test();
    let parts = parts::of(&blocks, &link, &about.limits);
    let shown = preview::of((&result, &blocks), (&link, parts.len()), about);
    let read = |part: &Vec<u8>| {
        // What is kept has to pass the check under which it is read.
        let raw = Raw::check(part.clone().into(), &Limits::default()).unwrap();
        serde_json::from_str(raw.as_str()).unwrap()
    };
    Some((serde_json::from_str(shown.as_str()).unwrap(), parts.iter().map(read).collect()))
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// All that is kept of a block, put together again.
fn whole(parts: &[Value], block: usize, member: &str) -> String {
    let pieces = parts.iter().flat_map(|part| part.as_array().unwrap());
    let own = pieces.filter(|piece| piece["_meta"]["io.casemate/piece"]["block"] == block);
    own.fold(String::new(), |mut whole, piece| {
        assert_eq!(piece["_meta"]["io.casemate/piece"]["at"], whole.len());
        write!(whole, "{}", piece[member].as_str().unwrap()).unwrap();
        whole
    })
}

#[test]
fn a_result_one_byte_below_is_none_of_ours() {
    let at = |len: usize| json!({"content": [text(&"x".repeat(len - 10)), text(&"y".repeat(10))]});
    assert!(composed(&at(64), &about()).is_none());
    assert!(composed(&at(65), &about()).is_some());
    // A character counts by what it takes, and an escape by what it stands for.
    assert!(composed(&json!({"content": [text(&"é".repeat(32))]}), &about()).is_none());
    assert!(composed(&json!({"content": [text(&"é".repeat(33))]}), &about()).is_some());
    assert!(composed(&json!({"content": [text(&"\u{1}".repeat(64))]}), &about()).is_none());
    let image = |len: usize| json!({"content": [{"type": "image", "mimeType": "image/png", "data": "A".repeat(len)}]});
    assert!(composed(&image(48), &about()).is_none());
    assert!(composed(&image(52), &about()).is_some());
    // What is no result of a tool has no content.
    for other in
        [json!({}), json!({"content": "x".repeat(100)}), json!({"task": {"taskId": "x".repeat(100)}})]
    {
        assert!(composed(&other, &about()).is_none());
    }
}

#[test]
fn its_beginning_is_shown_with_its_size_and_a_link() {
    let long = format!("0123456789{}", "é".repeat(60));
    let result =
        json!({"content": [text("short"), text(&long)], "isError": true, "x": 1, "_meta": {"own": 2}});
    let (shown, parts) = composed(&result, &about()).unwrap();
    assert_eq!(
        shown["content"],
        json!([
            text(
                "The result of files__read has 135 bytes of text, and at most 64 are shown at once (spool.over). The \
                 beginning follows. What is not shown whole is kept for 60 minutes, for you alone: read the resource \
                 casemate://_results/TOKEN/1 and the next parts, up to 3, whose addresses differ in the number at the end."
            ),
            text("short"),
            text("0123456789\n[the first 10 of 70 characters; the rest is kept]"),
            {
                "type": "resource_link", "uri": "casemate://_results/TOKEN/1", "name": "Result of files__read",
                "description": "What is not shown whole, part 1 of 3.", "mimeType": "text/plain", "size": 130,
            },
        ])
    );
    assert_eq!(
        (&shown["isError"], &shown["x"], &shown["_meta"]["own"]),
        (&json!(true), &json!(1), &json!(2))
    );
    assert_eq!(
        shown["_meta"]["io.casemate/result"],
        json!({"uri": "casemate://_results/TOKEN/1", "parts": 3, "bytes": 130, "limit": 64, "seconds": 3600})
    );
    assert_eq!(whole(&parts, 1, "text"), long);
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(part[0]["uri"], format!("casemate://_results/TOKEN/{}", number + 1));
        assert!(part[0]["text"].as_str().unwrap().len() <= 64, "each part can be read at once");
    }
}

#[test]
fn a_client_without_links_is_told_the_address() {
    let result = json!({"content": [text(&"x".repeat(65))]});
    let (shown, _) = composed(&result, &About { has_links: false, ..about() }).unwrap();
    assert_eq!(shown["content"].as_array().unwrap().len(), 2, "{shown}");
    assert!(shown["content"][0]["text"].as_str().unwrap().contains("casemate://_results/TOKEN/1"));
}

#[test]
fn structured_content_stays_where_it_is_promised_and_is_text_where_it_is_not() {
    let structured = json!({"rows": "y".repeat(50)});
    let result = json!({"content": [text(&"x".repeat(60))], "structuredContent": structured});
    assert!(composed(&result, &About { is_promised: true, ..about() }).is_none(), "it is for programs");
    let (shown, parts) = composed(&result, &about()).unwrap();
    assert_eq!(shown["structuredContent"], Value::Null);
    assert!(
        shown["content"][0]["text"].as_str().unwrap().ends_with("So is its structured content."),
        "{shown}"
    );
    assert_eq!(serde_json::from_str::<Value>(&whole(&parts, 1, "text")).unwrap(), structured);
    let longer = json!({"content": [text(&"x".repeat(65))], "structuredContent": structured});
    let (shown, _) = composed(&longer, &About { is_promised: true, ..about() }).unwrap();
    assert_eq!(shown["structuredContent"], structured, "clients hold it against the schema");
    let small = json!({"content": [text(&"x".repeat(65))], "structuredContent": {"a": 1}});
    assert_eq!(composed(&small, &about()).unwrap().0["structuredContent"], json!({"a": 1}));
}

#[test]
fn a_binary_is_kept_when_it_is_too_large_and_shown_when_it_is_not() {
    let bytes: Vec<u8> = (0..=99).collect();
    let large = STANDARD.encode(&bytes);
    let result = json!({"content": [
        {"type": "image", "mimeType": "image/png", "data": "QUJD", "annotations": {"priority": 1}},
        {"type": "audio", "mimeType": "audio/wav", "data": large, "annotations": {"audience": ["user"]}},
        {"type": "resource", "resource": {"uri": "a:b", "blob": format!("{}\n{}", &large[..60], &large[60..])}},
        text("and a text of its own"),
        {"type": "resource_link", "uri": "c:d", "name": "n"},
        {"type": "x-unheard-of", "payload": "z".repeat(200)},
    ]});
    let (shown, parts) = composed(&result, &about()).unwrap();
    let blocks = shown["content"].as_array().unwrap();
    assert!(blocks[0]["text"].as_str().unwrap().contains("holds a binary"), "{shown}");
    for (number, kept) in [(0, true), (1, false), (2, false), (3, true), (4, true), (5, true)] {
        assert_eq!(blocks[number + 1] == result["content"][number], kept, "{number}: {}", blocks[number + 1]);
    }
    assert_eq!(blocks[2]["text"], "[audio/wav, 100 bytes: kept and not shown]");
    assert_eq!(blocks[2]["annotations"], json!({"audience": ["user"]}));
    for block in [1, 2] {
        assert_eq!(STANDARD.decode(whole(&parts, block, "blob")).unwrap(), bytes);
    }
    for piece in parts.iter().flat_map(|part| part.as_array().unwrap()) {
        let blob = piece["blob"].as_str().unwrap();
        assert!(blob.len() <= 48 && STANDARD.decode(blob).is_ok(), "each piece stands for itself: {piece}");
    }
    let link = blocks.last().unwrap();
    assert_eq!((&link["mimeType"], &link["size"]), (&Value::Null, &json!(200)), "they differ");
}

#[test]
fn an_embedded_text_says_whose_beginning_it_is() {
    let text = "x".repeat(65);
    let result = json!({"content": [
        {"type": "resource", "resource": {"uri": "file:///log", "mimeType": "text/x-log", "text": text}},
    ]});
    let (shown, parts) = composed(&result, &about()).unwrap();
    let beginning = shown["content"][1]["text"].as_str().unwrap();
    assert_eq!(beginning, "xxxxxxxxxx\n[the first 10 of 65 characters of file:///log; the rest is kept]");
    assert_eq!(parts[0][0]["mimeType"], "text/x-log");
    assert_eq!(whole(&parts, 0, "text"), text);
}

#[test]
fn of_very_many_small_texts_the_first_are_shown_and_all_others_are_kept() {
    let many: Vec<Value> = (0..1000).map(|number| text(&format!("row {number}"))).collect();
    let (shown, parts) = composed(&json!({"content": many}), &about()).unwrap();
    let blocks = shown["content"].as_array().unwrap();
    assert_eq!(blocks.len(), 1 + 16 + 1);
    assert_eq!((&blocks[1], &blocks[16]), (&text("row 0"), &text("row 15")));
    assert!(blocks[0]["text"].as_str().unwrap().contains("without 984 further texts"), "{}", blocks[0]);
    assert_eq!(whole(&parts, 16, "text"), "row 16");
    assert_eq!(whole(&parts, 999, "text"), "row 999");
    let of = |part: &Value| {
        part.as_array().unwrap().iter().map(|piece| piece["text"].as_str().unwrap().len()).sum()
    };
    assert!(parts.iter().all(|part| (1..=64_usize).contains(&of(part))), "filled, and not beyond");
}

#[test]
fn a_flood_of_tiny_texts_is_cut_into_parts_that_are_not_a_hundred_times_as_large() {
    let about = About { limits: ResultLimits { text_max: 1000, ..LIMITS }, ..about() };
    let many: Vec<Value> = (0..3000).map(|_| text("x")).collect();
    let (_, parts) = composed(&json!({"content": many}), &about).unwrap();
    assert_eq!(parts.len(), (3000_usize - 16).div_ceil(256));
    assert_eq!(parts[0].as_array().unwrap().len(), 256);
}

proptest! {
    #[test]
    fn whatever_a_result_says_it_is_kept_whole(texts in prop::collection::vec("\\PC{0,200}", 1..24), blob in prop::collection::vec(any::<u8>(), 0..200)) {
        let blob = STANDARD.encode(blob);
        let mut content: Vec<Value> = texts.iter().map(|one| text(one)).collect();
        content.push(json!({"type": "image", "mimeType": "image/png", "data": blob}));
        let result = json!({"content": content});
        let long = texts.iter().map(String::len).sum::<usize>() > 64;
        let Some((shown, parts)) = composed(&result, &about()) else {
            prop_assert!(!long && blob.len() <= 48);
            return Ok(());
        };
        let shown = shown["content"].to_string();
        for (number, one) in texts.iter().enumerate() {
            let kept = whole(&parts, number, "text");
            if kept.is_empty() {
                prop_assert!(one.is_empty() || shown.contains(&text(one).to_string()));
            } else {
                prop_assert_eq!(&kept, one);
            }
        }
        let kept = whole(&parts, texts.len(), "blob");
        prop_assert_eq!(kept, if blob.len() > 48 { blob } else { String::new() });
    }
}

#[test]
fn a_type_or_an_address_without_end_is_not_written_into_each_part() {
    let endless = "x".repeat(100_000);
    let result = json!({"content": [
        {"type": "resource", "resource": {"uri": endless, "mimeType": endless, "text": "y".repeat(1_000)},
         "annotations": {"audience": [endless]}},
        {"type": "image", "mimeType": endless, "data": "AAAA".repeat(100)},
    ]});
    let (shown, parts) = composed(&result, &about()).unwrap();
    let kept: usize = parts.iter().map(|part| part.to_string().len()).sum();
    assert!(kept < 20_000, "{kept}");
    assert!(shown.to_string().len() < 5_000, "{}", shown.to_string().len());
    assert_eq!(parts[0][0]["mimeType"], "text/plain");
    assert_eq!(whole(&parts, 0, "text"), "y".repeat(1_000));
}

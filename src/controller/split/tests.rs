//! The items of a list are those that a parser finds, however its bytes come in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Items and the rest of a list whose bytes come in pieces of this size.
fn split(text: &[u8], size: usize) -> (Vec<Item>, Vec<u8>) {
    let (mut list, mut items) = (List::default(), Vec::new());
    for mut piece in text.chunks(size) {
        while !piece.is_empty() {
            let (taken, item) = list.take(piece);
            piece = &piece[taken..];
            items.extend(item);
        }
    }
    (items, list.around().to_vec())
}

fn texts(items: Vec<Item>) -> Vec<Value> {
    let text = |item| match item {
        Item::Text(text) => serde_json::from_slice(&text).unwrap(),
        Item::TooLarge => json!("too large"),
    };
    items.into_iter().map(text).collect()
}

proptest! {
    #[test]
    fn the_items_of_a_list_are_those_that_a_parser_finds(
        items in prop::collection::vec(("[a-z\"\\\\{}\\[\\],: ]{0,12}", prop::collection::vec(any::<i32>(), 0..3)), 0..5),
        size in 1_usize..40,
        pretty in any::<bool>(),
    ) {
        let items: Vec<Value> = items.iter().map(|(text, list)| json!({"items": [text, {}], text: list, "b": {"c": text}})).collect();
        let list = json!({"a": {"items": [1]}, "items": items, "metadata": {"continue": "items\":["}});
        let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
        let (found, around) = split(text.as_bytes(), size);
        prop_assert_eq!(texts(found), items);
        let around: Value = serde_json::from_slice(&around).unwrap();
        prop_assert_eq!(around, json!({"a": {"items": [1]}, "items": [], "metadata": {"continue": "items\":["}}));
    }

    #[test]
    fn what_is_no_list_has_no_end(text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ itemsx".to_vec()), 0..200), size in 1_usize..40) {
        split(&text, size);
    }
}

#[test]
fn of_an_item_that_is_too_large_nothing_is_kept() {
    let large = "x".repeat(LARGEST + 10);
    let list = json!({"items": [{"a": 1}, {"b": large}, {"c": 2}], "metadata": {}}).to_string();
    let (items, _) = split(list.as_bytes(), 8_192);
    assert_eq!(texts(items), [json!({"a": 1}), json!("too large"), json!({"c": 2})]);
}

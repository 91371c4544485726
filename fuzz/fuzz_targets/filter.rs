//! Any text: it is refused at a column within it, or read as a filter that is written and read back the same and can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::{ImageDocument, ImageId, Metadata, Version, filter::parse};

fuzz_target!(|text: &str| {
    let filter = match parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
            return;
        }
    };
    // Written out, quotes and escapes can take it past the longest filter that is read.
    let written = filter.to_string();
    if let Ok(again) = parse(&written) {
        assert_eq!(again, filter, "{written}");
    }
    filter.matches(&ImageDocument {
        image_id: ImageId::of(b""),
        version: Version(1),
        size_bytes: 1,
        content_type: "image/jpeg".into(),
        name: Some("a b.jpg".into()),
        created: Default::default(),
        metadata: Metadata { tags: vec!["cat".into()], caption: Some(text.into()), ..Metadata::default() },
        facts: None,
    });
});

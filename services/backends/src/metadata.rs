//! What users may say about an image: its limits, how a change is applied, and how an upload adds to what is there.

use serde_json::{Map, Value};
use shared::Metadata;

pub const MAX_TAGS: usize = 64;
/// Of one tag, in characters.
pub const MAX_TAG_CHARACTERS: usize = 128;
/// Of one field's name, in characters.
pub const MAX_FIELD_NAME_CHARACTERS: usize = 64;
/// Of everything together, as JSON.
pub const MAX_METADATA_BYTES: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("{found} tags are more than the {MAX_TAGS} that are kept; send fewer")]
    TooManyTags { found: usize },
    #[error("{0:?} is not a tag: 1 to {MAX_TAG_CHARACTERS} characters, none of them a control character")]
    Tag(String),
    #[error(
        "{0:?} is not a field name: letters, digits and `_`, not beginning with a digit, at most \
         {MAX_FIELD_NAME_CHARACTERS} characters"
    )]
    FieldName(String),
    #[error("field {0} is neither text, number nor boolean; send one of these")]
    FieldValue(String),
    #[error("metadata of {found} bytes is more than the {MAX_METADATA_BYTES} that are kept; send less")]
    TooLarge { found: usize },
    /// A change that is not an object, or that ends in something that is not metadata.
    #[error("the change does not fit metadata: {0}")]
    Shape(#[source] serde_json::Error),
}

/// Checks what a user says against the limits.
pub fn validate(metadata: &Metadata) -> Result<(), MetadataError> {
    if metadata.tags.len() > MAX_TAGS {
        return Err(MetadataError::TooManyTags { found: metadata.tags.len() });
    }
    if let Some(tag) = metadata.tags.iter().find(|tag| !is_tag(tag)) {
        return Err(MetadataError::Tag(shortened(tag)));
    }
    for (name, value) in &metadata.fields {
        if !is_field_name(name) {
            return Err(MetadataError::FieldName(shortened(name)));
        }
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            return Err(MetadataError::FieldValue(name.clone()));
        }
    }
    let found = serde_json::to_vec(metadata).map_err(MetadataError::Shape)?.len();
    if found > MAX_METADATA_BYTES { Err(MetadataError::TooLarge { found }) } else { Ok(()) }
}

/// Applies a JSON merge patch: what is null is removed, objects are merged, anything else replaces.
/// Source: RFC 7396.
pub fn patched(metadata: &Metadata, patch: &Value) -> Result<Metadata, MetadataError> {
    if !patch.is_object() {
        return Err(MetadataError::Shape(serde::de::Error::custom("it is not a JSON object")));
    }
    let mut value = serde_json::to_value(metadata).map_err(MetadataError::Shape)?;
    merge(&mut value, patch);
    let changed = serde_json::from_value(value).map_err(MetadataError::Shape)?;
    validate(&changed)?;
    Ok(changed)
}

/// What is known after another upload of the same image: the new metadata wins where it says something. The result may
/// break the limits that either of them keeps; then the new metadata stands alone.
pub(crate) fn merged(previous: Option<&Metadata>, new: &Metadata) -> Metadata {
    let Some(previous) = previous else { return new.clone() };
    let mut fields = previous.fields.clone();
    fields.extend(new.fields.clone());
    let both = Metadata {
        tags: if new.tags.is_empty() { previous.tags.clone() } else { new.tags.clone() },
        caption: new.caption.clone().or_else(|| previous.caption.clone()),
        captured: new.captured.or(previous.captured),
        fields,
    };
    if validate(&both).is_ok() { both } else { new.clone() }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn is_tag(tag: &str) -> bool {
    !tag.trim().is_empty() && tag.chars().count() <= MAX_TAG_CHARACTERS && !tag.chars().any(char::is_control)
}

fn is_field_name(name: &str) -> bool {
    name.len() <= MAX_FIELD_NAME_CHARACTERS
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Enough to recognise it in an error.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(value: Value) -> Metadata {
        serde_json::from_value(value).expect("metadata")
    }

    #[test]
    fn a_merge_patch_replaces_merges_and_removes() {
        let before = metadata(json!({"tags": ["a"], "caption": "old", "fields": {"rating": 3, "owner": "me"}}));
        let patch = json!({"tags": ["b", "c"], "caption": null, "fields": {"rating": 5, "owner": null, "sold": true}});
        let after = metadata(json!({"tags": ["b", "c"], "fields": {"rating": 5, "sold": true}}));
        assert_eq!(patched(&before, &patch).expect("fits"), after);
        assert_eq!(patched(&before, &json!({})).expect("fits"), before);
        assert_eq!(
            patched(&before, &json!({"tags": null, "fields": null, "caption": null})).expect("fits"),
            metadata(json!({}))
        );
    }

    // The examples of RFC 7396, appendix A.
    #[test]
    fn the_standards_examples_hold() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, &patch);
            assert_eq!(merged, result);
        }
    }

    #[test]
    fn what_breaks_a_limit_is_refused_by_name() {
        let refused = |patch: Value| patched(&Metadata::default(), &patch).expect_err("refused").to_string();
        assert!(refused(json!({"tags": vec!["t"; 65]})).contains("65 tags"));
        assert!(refused(json!({"tags": [" "]})).contains("not a tag"));
        assert!(refused(json!({"fields": {"1st": 1}})).contains("1st"));
        assert!(refused(json!({"fields": {"a b": 1}})).contains("a b"));
        assert!(refused(json!({"fields": {"nested": {"a": 1}}})).contains("nested"));
        assert!(refused(json!({"fields": {"list": [1]}})).contains("list"));
        assert!(refused(json!({"caption": "x".repeat(17 << 10)})).contains("bytes"));
        assert!(refused(json!({"colour": "red"})).contains("colour"));
        assert!(refused(json!(["tags"])).contains("object"));
    }

    #[test]
    fn another_upload_keeps_what_it_says_nothing_about() {
        let before = metadata(json!({"tags": ["a"], "caption": "old", "fields": {"rating": 3}}));
        let both = merged(Some(&before), &metadata(json!({"caption": "new", "fields": {"owner": "me"}})));
        assert_eq!(both, metadata(json!({"tags": ["a"], "caption": "new", "fields": {"rating": 3, "owner": "me"}})));
    }
}

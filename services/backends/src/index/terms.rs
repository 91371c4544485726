//! What filters can ask of a document's texts, tags and truth values, said as terms. Each adapter keeps and finds them in a
//! form of its own.

use serde_json::Value;
use shared::{
    ImageDocument,
    filter::{Field, words},
};

/// What a term says of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It has this value, or this element.
    Is,
    /// It has this word.
    HasWord,
    /// It is there.
    IsPresent,
    /// It is a number.
    IsNumber,
    /// It is this truth value, which is not the text `true` or `false`.
    IsTruth(bool),
}

/// Says everything that is true of a document and that `=`, `:` and `:*` can ask for; the same may be said twice.
pub(super) fn say_all(document: &ImageDocument, mut say: impl FnMut(&Field, Says, &str)) {
    let mut say_text = |field: &Field, text: &str| {
        say(field, Says::IsPresent, "");
        say(field, Says::Is, text);
        words(text).for_each(|word| say(field, Says::HasWord, &word));
    };
    say_text(&Field::ContentType, &document.content_type);
    if let Some(name) = &document.name {
        say_text(&Field::Name, name);
    }
    if let Some(caption) = &document.metadata.caption {
        say_text(&Field::Caption, caption);
    }
    for (name, value) in &document.metadata.fields {
        if let Value::String(text) = value {
            say_text(&Field::Custom(name.clone()), text);
        }
    }
    if let Some(facts) = &document.facts {
        say(&Field::Partial, Says::IsTruth(facts.partial), "");
        say(&Field::Partial, Says::IsPresent, "");
    }
    for tag in &document.metadata.tags {
        say(&Field::Tags, Says::IsPresent, "");
        say(&Field::Tags, Says::Is, tag);
    }
    for (name, value) in &document.metadata.fields {
        let says = match value {
            Value::Bool(truth) => Says::IsTruth(*truth),
            Value::Number(_) => Says::IsNumber,
            _ => continue,
        };
        say(&Field::Custom(name.clone()), says, "");
        say(&Field::Custom(name.clone()), Says::IsPresent, "");
    }
}

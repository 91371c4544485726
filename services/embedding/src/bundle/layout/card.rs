//! The card of a model from a hub: a README whose head says, in YAML, what the licence is and which languages it knows.

use camino::Utf8Path;
use serde::Deserialize;

pub(super) const CARD: &str = "README.md";
/// What says that `license_name` has it.
const OTHER_LICENSE: &str = "other";

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Head {
    license: Option<String>,
    license_name: Option<String>,
    language: Option<Languages>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Languages {
    One(String),
    Many(Vec<String>),
}

/// What a card tells; empty where there is none, or none that can be read: nothing is computed by it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Card {
    pub(super) license: Option<String>,
    pub(super) languages: Vec<String>,
}

impl Card {
    pub(super) fn read(folder: &Utf8Path) -> Self {
        std::fs::read_to_string(folder.join(CARD)).map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let head = text.strip_prefix("---").and_then(|rest| rest.split_once("\n---")).map_or("", |(head, _)| head);
        // Else Norwegian would be a negation.
        let options = serde_saphyr::options! { strict_booleans: true };
        let parsed = serde_saphyr::from_str_with_options(head, options);
        let Head { license, license_name, language } = parsed.unwrap_or_default();
        Self {
            license: license_name.filter(|_| license.as_deref() == Some(OTHER_LICENSE)).or(license),
            languages: match language {
                None => Vec::new(),
                Some(Languages::One(language)) => vec![language],
                Some(Languages::Many(languages)) => languages,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(license: &str, languages: &[&str]) -> Card {
        Card { license: Some(license.into()), languages: languages.iter().map(|&language| language.into()).collect() }
    }

    #[test]
    fn licence_and_languages_are_read_off_the_head() {
        let cards = [
            ("---\nlicense: mit\nlanguage: en\ntags: [clip]\n---\n# A model\n", card("mit", &["en"])),
            ("---\r\nlanguage:\r\n- en\r\n- no\r\nlicense: apache-2.0\r\n---\r\n", card("apache-2.0", &["en", "no"])),
            ("---\nlicense: other\nlicense_name: apple-ascl\nlicense_link: LICENSE\n---\n", card("apple-ascl", &[])),
            ("---\nlicense: other\n---\n", card("other", &[])),
        ];
        for (text, expected) in cards {
            assert_eq!(Card::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_card_that_tells_nothing_is_no_fault() {
        for text in
            ["", "# A model\n", "---\nlicense: [unfinished\n", "---\nlicense: {a: b}\n---\n", "---\n- en\n---\n"]
        {
            assert_eq!(Card::parse(text), Card::default(), "{text}");
        }
    }
}

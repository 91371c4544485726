//! From a text to token ids, exactly as the model was trained: cleaning, prefix, truncation that keeps end-of-text, padding.

use camino::Utf8Path;
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

use crate::{
    bundle::{BundleError, Clean, Padding, TextPart},
    model_error::ModelError,
};

/// Characters a token of the context that are looked at. No vocabulary has words this long, so what is beyond would be
/// truncated anyway; tokenising a megabyte for it would only cost time.
const MAX_CHARACTERS_A_TOKEN: usize = 100;

/// What the text graph gets: as many mask entries as ids, 1 for a token and 0 for padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    pub(crate) mask: Vec<u32>,
}

/// A tokenizer with the model's habits.
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    clean: Clean,
    prefix: String,
    max_characters: usize,
}

impl TextEncoder {
    /// `fixed_length` is the number of tokens that the graph insists on, where it does.
    pub(crate) fn load(path: &Utf8Path, part: &TextPart, fixed_length: Option<usize>) -> Result<Self, BundleError> {
        let invalid = |error: tokenizers::Error| BundleError::invalid(path, error.to_string());
        let mut tokenizer = Tokenizer::from_file(path).map_err(invalid)?;
        let context_length = fixed_length.unwrap_or(part.context_length);
        let padding = if part.padding == Padding::Full || fixed_length.is_some() {
            Some(full_padding(path, &tokenizer, part.pad_token.as_deref(), context_length)?)
        } else {
            None
        };
        let truncation = TruncationParams { max_length: context_length, ..TruncationParams::default() };
        tokenizer.with_padding(padding).with_truncation(Some(truncation)).map_err(invalid)?;
        let max_characters = context_length.saturating_mul(MAX_CHARACTERS_A_TOKEN);
        Ok(Self { tokenizer, clean: part.clean, prefix: part.prefix.clone(), max_characters })
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Tokens, ModelError> {
        let cleaned = clean(text, self.clean, self.max_characters);
        if cleaned.is_empty() {
            return Err(ModelError::EmptyText);
        }
        let encoding = self
            .tokenizer
            .encode_fast(format!("{}{cleaned}", self.prefix), true)
            .map_err(|error| ModelError::Tokenize { reason: error.to_string() })?;
        Ok(Tokens { ids: encoding.get_ids().to_vec(), mask: encoding.get_attention_mask().to_vec() })
    }
}

/// Padding to the whole context with the model's own token; guessing another one would cost accuracy silently.
fn full_padding(
    path: &Utf8Path,
    tokenizer: &Tokenizer,
    pad_token: Option<&str>,
    length: usize,
) -> Result<PaddingParams, BundleError> {
    let strategy = PaddingStrategy::Fixed(length);
    let Some(token) = pad_token else {
        let own = tokenizer.get_padding().cloned();
        let own =
            own.ok_or_else(|| BundleError::invalid(path, "the model pads its texts, but no padding token is named"))?;
        return Ok(PaddingParams { strategy, pad_to_multiple_of: None, ..own });
    };
    let pad_id = tokenizer
        .token_to_id(token)
        .ok_or_else(|| BundleError::invalid(path, format!("the padding token {token:?} is not in the vocabulary")))?;
    Ok(PaddingParams { strategy, pad_id, pad_token: token.to_owned(), ..PaddingParams::default() })
}

/// Collapses white space, then does what the model asks for beyond. Source of "canonicalize": big_vision's
/// `canonicalize_text`, which SigLIP was trained with.
fn clean(text: &str, how: Clean, max_characters: usize) -> String {
    let mut words = text.split_whitespace();
    let mut collapsed = String::with_capacity(text.len().min(max_characters));
    let mut characters = 0;
    while let Some(word) = words.next().filter(|_| characters < max_characters) {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.extend(word.chars().take(max_characters - characters).inspect(|_| characters += 1));
    }
    match how {
        Clean::Whitespace => collapsed,
        Clean::Lowercase => collapsed.to_lowercase(),
        Clean::Canonicalize => {
            let kept: String = collapsed.chars().filter(|character| !character.is_ascii_punctuation()).collect();
            kept.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_is_as_the_model_was_trained() {
        let text = "  A dog's\n\tball, \u{a0}(Red) ";
        assert_eq!(clean(text, Clean::Whitespace, 100), "A dog's ball, (Red)");
        assert_eq!(clean(text, Clean::Lowercase, 100), "a dog's ball, (red)");
        assert_eq!(clean(text, Clean::Canonicalize, 100), "a dogs ball red");
        assert_eq!(clean(" - ! ", Clean::Canonicalize, 100), "");
    }

    #[test]
    fn text_far_beyond_any_context_is_not_looked_at() {
        assert_eq!(clean("abcdef ghi", Clean::Whitespace, 4), "abcd");
        assert_eq!(clean("ab cdef", Clean::Whitespace, 4), "ab cd");
    }
}

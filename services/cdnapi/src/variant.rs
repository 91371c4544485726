//! Which resized copies there can be: their sizes come from a fixed ladder, so that strangers can't fill the store.

use embedding::{
    decode::{DecodeError, Limits},
    variant,
};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fit {
    /// All of the picture, inside the size.
    #[default]
    Contain,
    /// The size filled, what sticks out cut off evenly.
    Cover,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    #[default]
    Webp,
    Jpeg,
}

/// A resized copy. Never larger than the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VariantSpec {
    /// Pixels; free when absent.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fit: Fit,
    pub format: Format,
}

/// The sizes in pixels that wanted ones are snapped up to, ascending.
#[derive(Debug, Clone)]
pub(crate) struct Ladder(Vec<u32>);

impl Ladder {
    pub(crate) fn new(mut sizes: Vec<u32>) -> Self {
        sizes.sort_unstable();
        Self(sizes)
    }

    /// The next size up; the largest when none is.
    pub(crate) fn snap(&self, wanted: u32) -> u32 {
        let next = self.0.iter().copied().find(|size| *size >= wanted);
        next.or(self.0.last().copied()).unwrap_or(wanted)
    }

    pub(crate) fn largest(&self) -> Option<u32> {
        self.0.last().copied()
    }
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Webp => "image/webp",
            Self::Jpeg => "image/jpeg",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Webp => "webp",
            Self::Jpeg => "jpg",
        }
    }
}

impl VariantSpec {
    /// Names the copy in the store: `cover-240x320.webp`, with 0 for a free side.
    pub(crate) fn name(&self) -> String {
        let fit = match self.fit {
            Fit::Contain => "contain",
            Fit::Cover => "cover",
        };
        let side = |side: Option<u32>| side.unwrap_or(0);
        format!("{fit}-{}x{}.{}", side(self.width), side(self.height), self.format.extension())
    }

    /// Decodes, resizes and encodes; takes as long as that takes.
    pub(crate) fn render(&self, original: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        let fit = match self.fit {
            Fit::Contain => variant::Fit::Contain,
            Fit::Cover => variant::Fit::Cover,
        };
        let format = match self.format {
            Format::Webp => variant::Format::Webp,
            Format::Jpeg => variant::Format::Jpeg,
        };
        variant::render(original, &variant::VariantSpec { width: self.width, height: self.height, fit, format }, limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_snapped_up_to_the_ladder() {
        let ladder = Ladder::new(vec![320, 64, 128]);
        assert_eq!([1, 64, 65, 128, 300, 9999].map(|wanted| ladder.snap(wanted)), [64, 64, 128, 128, 320, 320]);
    }

    #[test]
    fn every_copy_has_a_name_of_its_own() {
        let spec = VariantSpec { width: Some(240), height: None, fit: Fit::Cover, format: Format::Webp };
        assert_eq!(spec.name(), "cover-240x0.webp");
        assert_ne!(VariantSpec { height: Some(240), ..spec }.name(), spec.name());
        assert_ne!(VariantSpec { format: Format::Jpeg, ..spec }.name(), spec.name());
    }
}

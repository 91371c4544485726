//! Which resized copies there can be: their sizes come from a fixed ladder, so that strangers can't fill the store.

use embedding::variant::{self, Variant};
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

impl From<Fit> for variant::Fit {
    fn from(fit: Fit) -> Self {
        match fit {
            Fit::Contain => Self::Contain,
            Fit::Cover => Self::Cover,
        }
    }
}

impl From<Format> for variant::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Webp => Self::Webp,
            Format::Jpeg => Self::Jpeg,
        }
    }
}

/// Names a copy in the store: `cover-240x320.webp`, with 0 for a free side.
pub(crate) fn name(variant: &Variant) -> String {
    let fit = match variant.fit {
        variant::Fit::Contain => "contain",
        variant::Fit::Cover => "cover",
    };
    let extension = match variant.format {
        variant::Format::Webp => "webp",
        variant::Format::Jpeg => "jpg",
    };
    let side = |side: Option<u32>| side.unwrap_or(0);
    format!("{fit}-{}x{}.{extension}", side(variant.width), side(variant.height))
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
        let variant =
            Variant { width: Some(240), height: None, fit: variant::Fit::Cover, format: variant::Format::Webp };
        assert_eq!(name(&variant), "cover-240x0.webp");
        assert_ne!(name(&Variant { height: Some(240), ..variant }), name(&variant));
        assert_ne!(name(&Variant { format: variant::Format::Jpeg, ..variant }), name(&variant));
    }
}

//! What a model needs besides its weights. `model.yaml` is this, written down; the other layouts are translated into it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::{
    checksum::Checksum,
    preprocess::{Interpolation, Preprocess, Resize},
};

/// A text-image model: two graphs that put images and texts into one vector space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What users see; no effect on vectors.
    pub name: String,
    /// Length of the vectors. Absent where a layout doesn't say it; then the graphs do.
    #[serde(default)]
    pub dimension: Option<usize>,
    /// Scale the graphs' outputs to unit length. Off only for graphs that do it themselves.
    #[serde(default = "yes")]
    pub normalise: bool,
    pub image: ImagePart,
    pub text: TextPart,
    /// As SPDX writes it; no effect on vectors.
    #[serde(default)]
    pub license: Option<String>,
    /// ISO 639 codes of those that texts may be in; no effect on vectors.
    #[serde(default)]
    pub languages: Vec<String>,
    /// SHA-256 of files, by their path within the bundle. What is listed is checked at every start.
    #[serde(default)]
    pub checksums: BTreeMap<Utf8PathBuf, Checksum>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagePart {
    /// ONNX graph, its path within the bundle.
    pub graph: Utf8PathBuf,
    pub preprocess: PreprocessSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextPart {
    /// ONNX graph, its path within the bundle.
    pub graph: Utf8PathBuf,
    /// `tokenizer.json` as the `tokenizers` library writes it, its path within the bundle.
    pub tokenizer: Utf8PathBuf,
    /// Tokens, the special ones included. Longer texts are cut so that the end-of-text token stays.
    pub context_length: usize,
    #[serde(default)]
    pub padding: Padding,
    /// Needed for `padding: full`, unless the tokenizer itself says it.
    #[serde(default)]
    pub pad_token: Option<String>,
    #[serde(default)]
    pub clean: Clean,
    /// Put before every text, for example a language's FLORES code for the NLLB kinds.
    #[serde(default)]
    pub prefix: String,
}

/// How a text of fewer tokens than the context is brought to the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// As long as it is.
    #[default]
    None,
    /// Filled up to the context length. SigLIP was trained so, without a mask: anything else costs accuracy silently.
    Full,
}

/// What is done to a text before the tokenizer sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clean {
    /// White space is collapsed and trimmed.
    #[default]
    Whitespace,
    /// And lower-cased (SigLIP 2).
    Lowercase,
    /// And ASCII punctuation removed (SigLIP, "canonicalize" in open_clip).
    Canonicalize,
}

/// How pixels become the image graph's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessSettings {
    pub resize: ResizeSettings,
    /// Width and height cut from the centre after resizing; without it, `shortest` cuts a square.
    #[serde(default)]
    pub crop: Option<[u32; 2]>,
    #[serde(default)]
    pub interpolation: InterpolationSetting,
    /// Multiplies the 8-bit value before `mean` and `std`.
    #[serde(default = "one_255th")]
    pub rescale: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

fn one_255th() -> f32 {
    1.0 / 255.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResizeSettings {
    /// The shorter side gets this many pixels, the longer one follows.
    Shortest(u32),
    /// Width and height, whatever the proportions were.
    Squash([u32; 2]),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterpolationSetting {
    Bilinear,
    #[default]
    Bicubic,
}

impl PreprocessSettings {
    /// The same for the code that does it.
    pub(crate) fn to_preprocess(&self) -> Preprocess {
        Preprocess {
            resize: match self.resize {
                ResizeSettings::Shortest(pixels) => Resize::Shortest(pixels),
                ResizeSettings::Squash([width, height]) => Resize::Squash(width, height),
            },
            crop: self.crop.map(|[width, height]| (width, height)),
            interpolation: match self.interpolation {
                InterpolationSetting::Bilinear => Interpolation::Bilinear,
                InterpolationSetting::Bicubic => Interpolation::Bicubic,
            },
            mean: self.mean,
            std: self.std,
            rescale: self.rescale,
        }
    }

    /// What makes these settings unusable, in words.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let sides = match self.resize {
            ResizeSettings::Shortest(pixels) => [pixels, pixels],
            ResizeSettings::Squash(size) => size,
        };
        let crop = self.crop.unwrap_or(sides);
        // Beyond this a single image needs more memory than any known model; a typing error is likelier.
        let sane = |pixels: u32| (1..=4096).contains(&pixels);
        if !sides.into_iter().chain(crop).all(sane) {
            return Some("sizes must be between 1 and 4096 pixels");
        }
        if crop[0] > sides[0] || crop[1] > sides[1] {
            return Some("the crop is larger than the resized image");
        }
        if self.std.iter().any(|std| !(std.is_finite() && *std > 0.0)) {
            return Some("std must be above 0");
        }
        let finite = self.mean.iter().chain([&self.rescale]).all(|number| number.is_finite());
        (!finite || self.rescale == 0.0).then_some("mean and rescale must be finite numbers, rescale not 0")
    }
}

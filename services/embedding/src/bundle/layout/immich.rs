//! The layout of Immich's exports of open_clip and Multilingual-CLIP models.

use camino::Utf8Path;
use serde::Deserialize;

use super::{
    TokenText, TokenizerSettings,
    card::{CARD, Card},
    folder_name, read_json, read_optional_json,
};
use crate::bundle::{
    BundleError, Clean, ImagePart, InterpolationSetting, Manifest, Padding, PreprocessSettings, ResizeSettings,
    TextPart,
};

const IMAGE_GRAPH: &str = "visual/model.onnx";
const TEXT_GRAPH: &str = "textual/model.onnx";
const PREPROCESS: &str = "visual/preprocess_cfg.json";
const TOKENIZER: &str = "textual/tokenizer.json";
const TOKENIZER_SETTINGS: &str = "textual/tokenizer_config.json";
/// open_clip's default, left out of most configurations.
const CONTEXT_LENGTH: usize = 77;
/// The NLLB tokenizer's code for English, in Latin script.
const NLLB_ENGLISH: &str = "eng_Latn";

/// `None` when this isn't such an export.
pub(super) fn files(names: &[String]) -> Option<Vec<String>> {
    let there = |wanted: &str| names.iter().any(|name| name == wanted);
    // One graph is enough to know the layout: the other is then reported as missing.
    (there(IMAGE_GRAPH) || there(TEXT_GRAPH)).then(|| {
        let required = [IMAGE_GRAPH, TEXT_GRAPH, PREPROCESS, TOKENIZER].map(str::to_owned);
        let others = names.iter().filter(|name| is_needed(name) && !required.contains(name));
        others.cloned().chain(required.clone()).collect()
    })
}

/// Weights beside a graph have any name, so whole folders are taken; but not the folders and files for other chips.
fn is_needed(name: &str) -> bool {
    if ["config.json", CARD].contains(&name) {
        return true;
    }
    let file = name.strip_prefix("visual/").or_else(|| name.strip_prefix("textual/"));
    file.is_some_and(|file| {
        let other_chip =
            Utf8Path::new(file).extension().is_some_and(|extension| ["armnn", "rknn"].contains(&extension));
        !file.contains('/') && !other_chip
    })
}

#[derive(Debug, Default, Deserialize)]
struct ModelConfig {
    embed_dim: Option<usize>,
    #[serde(default)]
    vision_cfg: VisionConfig,
    #[serde(default)]
    text_cfg: TextConfig,
}

#[derive(Debug, Default, Deserialize)]
struct VisionConfig {
    image_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
struct TextConfig {
    context_length: Option<usize>,
    hf_tokenizer_name: Option<String>,
    #[serde(default)]
    tokenizer_kwargs: TokenizerArguments,
}

#[derive(Debug, Default, Deserialize)]
struct TokenizerArguments {
    clean: Option<String>,
}

/// A side, or height and width as open_clip orders them.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Square(u32),
    HeightWidth([u32; 2]),
}

impl Size {
    fn width_height(self) -> [u32; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::HeightWidth([height, width]) => [width, height],
        }
    }
}

#[derive(Debug, Deserialize)]
struct PreprocessConfig {
    size: Option<Size>,
    mean: [f32; 3],
    std: [f32; 3],
    #[serde(default)]
    interpolation: InterpolationSetting,
    #[serde(default)]
    resize_mode: ResizeMode,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResizeMode {
    /// Then cropped from the centre.
    #[default]
    Shortest,
    Squash,
}

pub(super) fn read(folder: &Utf8Path) -> Result<Manifest, BundleError> {
    let config: ModelConfig = read_json(&folder.join("config.json"))?;
    let Card { license, languages } = Card::read(folder);
    Ok(Manifest {
        name: folder_name(folder),
        dimension: config.embed_dim,
        normalise: true,
        image: ImagePart { graph: IMAGE_GRAPH.into(), preprocess: preprocess(folder, &config.vision_cfg)? },
        text: text_part(folder, &config.text_cfg)?,
        license,
        languages,
        checksums: std::collections::BTreeMap::new(),
    })
}

fn text_part(folder: &Utf8Path, config: &TextConfig) -> Result<TextPart, BundleError> {
    let settings: TokenizerSettings = read_optional_json(&folder.join(TOKENIZER_SETTINGS))?;
    let is_nllb = config.hf_tokenizer_name.as_ref().is_some_and(|name| name.to_lowercase().contains("nllb"));
    Ok(TextPart {
        graph: TEXT_GRAPH.into(),
        tokenizer: TOKENIZER.into(),
        context_length: config.context_length.unwrap_or(CONTEXT_LENGTH),
        padding: Padding::Full,
        pad_token: settings.pad_token.map(TokenText::into_text),
        clean: match config.tokenizer_kwargs.clean.as_deref() {
            Some("canonicalize") => Clean::Canonicalize,
            _ => Clean::Whitespace,
        },
        prefix: if is_nllb { NLLB_ENGLISH.to_owned() } else { String::new() },
    })
}

fn preprocess(folder: &Utf8Path, vision: &VisionConfig) -> Result<PreprocessSettings, BundleError> {
    let path = folder.join(PREPROCESS);
    let settings: PreprocessConfig = read_json(&path)?;
    let size = settings.size.or(vision.image_size);
    let size = size.ok_or_else(|| BundleError::invalid(&path, "`size` is missing"))?.width_height();
    let (resize, crop) = match settings.resize_mode {
        ResizeMode::Shortest => (ResizeSettings::Shortest(size[0].max(size[1])), Some(size)),
        ResizeMode::Squash => (ResizeSettings::Squash(size), None),
    };
    let PreprocessConfig { mean, std, interpolation, .. } = settings;
    Ok(PreprocessSettings { resize, crop, interpolation, rescale: 1.0 / 255.0, mean, std })
}

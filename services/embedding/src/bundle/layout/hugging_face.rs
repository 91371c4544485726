//! The layout of Hugging Face's ONNX exports (`optimum`, `transformers.js`): CLIP and SigLIP families.

use camino::Utf8Path;
use serde::Deserialize;

use super::{
    Layout, Selection, TokenizerSettings,
    card::{CARD, Card},
    folder_name,
    own::is_weights_of,
    read_json, read_optional_json,
};
use crate::bundle::{
    BundleError, Clean, ImagePart, InterpolationSetting, Manifest, Padding, PreprocessSettings, ResizeSettings,
    TextPart,
};

/// Best precision first: what is chosen when several are there and none is asked for.
const SUFFIXES: [&str; 8] = ["", "_fp16", "_quantized", "_int8", "_uint8", "_q4f16", "_q4", "_bnb4"];
const REQUIRED: [&str; 3] = ["config.json", "preprocessor_config.json", "tokenizer.json"];
const OPTIONAL: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", CARD];
/// What CLIP and SigLIP were trained with, for exports that leave the default out.
const CLIP_CONTEXT: usize = 77;
const SIGLIP_CONTEXT: usize = 64;

fn graphs(suffix: &str) -> [String; 2] {
    [format!("onnx/vision_model{suffix}.onnx"), format!("onnx/text_model{suffix}.onnx")]
}

/// `None` when this isn't such an export at all.
pub(super) fn select(place: &str, names: &[String], variant: Option<&str>) -> Result<Option<Selection>, BundleError> {
    let there = |name: &String| names.contains(name);
    let complete: Vec<&str> = SUFFIXES.into_iter().filter(|suffix| graphs(suffix).iter().all(there)).collect();
    if complete.is_empty() {
        return refuse_incomplete(place, names);
    }
    let suffix = match variant {
        None => complete[0],
        Some(wanted) => *complete
            .iter()
            .find(|suffix| variant_name(suffix) == wanted)
            .ok_or_else(|| no_variant(place, wanted, &complete))?,
    };
    let graphs = graphs(suffix);
    let weights = names.iter().filter(|name| graphs.iter().any(|graph| is_weights_of(name, graph)));
    let optional = OPTIONAL.map(str::to_owned).into_iter().filter(there);
    let files = REQUIRED.map(str::to_owned).into_iter().chain(optional);
    let files = files.chain(weights.cloned()).chain(graphs.clone()).collect();
    Ok(Some(Selection { layout: Layout::HuggingFace { suffix: suffix.to_owned() }, files }))
}

fn variant_name(suffix: &str) -> &str {
    suffix.strip_prefix('_').unwrap_or("fp32")
}

fn no_variant(place: &str, wanted: &str, complete: &[&str]) -> BundleError {
    let found: Vec<&str> = complete.iter().map(|suffix| variant_name(suffix)).collect();
    BundleError::NoVariant { folder: place.to_owned(), wanted: wanted.to_owned(), found: found.join(", ") }
}

/// Says which half is missing, or that only the merged graph is there.
fn refuse_incomplete(place: &str, names: &[String]) -> Result<Option<Selection>, BundleError> {
    let is_graph = |name: &str| Utf8Path::new(name).extension() == Some("onnx");
    let has = |prefix: &str| names.iter().find(|name| name.starts_with(prefix) && is_graph(name));
    match (has("onnx/vision_model"), has("onnx/text_model"), has("onnx/model")) {
        (None, None, None) => Ok(None),
        (None, None, Some(graph)) => Err(BundleError::MergedOnly { folder: place.to_owned(), graph: graph.clone() }),
        (Some(graph), _, _) => {
            Err(BundleError::Missing { path: other_half(place, graph, "vision_model", "text_model") })
        }
        (None, Some(graph), _) => {
            Err(BundleError::Missing { path: other_half(place, graph, "text_model", "vision_model") })
        }
    }
}

fn other_half(place: &str, graph: &str, from: &str, to: &str) -> camino::Utf8PathBuf {
    Utf8Path::new(place).join(graph.replace(from, to))
}

#[derive(Debug, Default, Deserialize)]
struct ModelConfig {
    #[serde(default)]
    model_type: String,
    projection_dim: Option<usize>,
    #[serde(default)]
    text_config: TextConfig,
    #[serde(rename = "_name_or_path")]
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct TextConfig {
    max_position_embeddings: Option<usize>,
}

/// Number in older files, object in newer ones.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Number(u32),
    Shortest { shortest_edge: u32 },
    Sides { height: u32, width: u32 },
}

#[derive(Debug, Deserialize)]
struct PreprocessorConfig {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<Size>,
    /// Pillow's numbers.
    #[serde(default = "bicubic")]
    resample: u8,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    #[serde(default = "yes")]
    do_rescale: bool,
    rescale_factor: Option<f32>,
    #[serde(default = "yes")]
    do_normalize: bool,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

fn yes() -> bool {
    true
}

fn bicubic() -> u8 {
    3
}

pub(super) fn read(folder: &Utf8Path, suffix: &str) -> Result<Manifest, BundleError> {
    let config: ModelConfig = read_json(&folder.join("config.json"))?;
    let preprocess = preprocess(folder)?;
    let text = text_part(folder, suffix, &config)?;
    let [image_graph, _] = graphs(suffix);
    let Card { license, languages } = Card::read(folder);
    Ok(Manifest {
        name: config.name.filter(|name| !name.is_empty()).unwrap_or_else(|| folder_name(folder)),
        // SigLIP has no projection; then the graphs say it.
        dimension: config.projection_dim.filter(|_| !config.model_type.starts_with("siglip")),
        normalise: true,
        image: ImagePart { graph: image_graph.into(), preprocess },
        text,
        license,
        languages,
        checksums: std::collections::BTreeMap::new(),
    })
}

fn text_part(folder: &Utf8Path, suffix: &str, config: &ModelConfig) -> Result<TextPart, BundleError> {
    let settings: TokenizerSettings = read_optional_json(&folder.join("tokenizer_config.json"))?;
    let specials: TokenizerSettings = read_optional_json(&folder.join("special_tokens_map.json"))?;
    let is_siglip = config.model_type.starts_with("siglip");
    let usual = if is_siglip { SIGLIP_CONTEXT } else { CLIP_CONTEXT };
    let tokenizer_limit = settings.model_max_length.filter(|limit| *limit < 100_000.0).map(|limit| limit as usize);
    let positions = config.text_config.max_position_embeddings;
    let context_length = match (positions, tokenizer_limit) {
        // The smaller one: a BERT-like encoder has 512 positions, but may have been trained on 52 tokens.
        (Some(positions), Some(limit)) => positions.min(limit),
        (one, other) => one.or(other).unwrap_or(usual),
    };
    let [_, graph] = graphs(suffix);
    let [graph, tokenizer] = [graph.into(), "tokenizer.json".into()];
    Ok(TextPart {
        graph,
        tokenizer,
        context_length,
        padding: if is_siglip { Padding::Full } else { Padding::None },
        pad_token: settings.pad_token.or(specials.pad_token).map(super::TokenText::into_text),
        clean: match config.model_type.as_str() {
            "siglip" => Clean::Canonicalize,
            "siglip2" => Clean::Lowercase,
            _ => Clean::Whitespace,
        },
        prefix: String::new(),
    })
}

fn preprocess(folder: &Utf8Path) -> Result<PreprocessSettings, BundleError> {
    let path = folder.join("preprocessor_config.json");
    let settings: PreprocessorConfig = read_json(&path)?;
    let invalid = |reason: &str| BundleError::invalid(&path, reason);
    if !settings.do_resize {
        return Err(invalid("`do_resize: false` is not supported; images come in all sizes"));
    }
    let size = settings.size.ok_or_else(|| invalid("`size` is missing"))?;
    let resize = match size {
        Size::Number(pixels) | Size::Shortest { shortest_edge: pixels } if settings.crops() => {
            ResizeSettings::Shortest(pixels)
        }
        // ViT-like processors of older versions: a number means both sides.
        Size::Number(pixels) => ResizeSettings::Squash([pixels, pixels]),
        Size::Shortest { .. } => return Err(invalid("`shortest_edge` needs `do_center_crop`")),
        Size::Sides { height, width } => ResizeSettings::Squash([width, height]),
    };
    let crop = settings.crops().then(|| settings.crop_size.unwrap_or(size)).map(|crop| match crop {
        Size::Number(pixels) | Size::Shortest { shortest_edge: pixels } => [pixels, pixels],
        Size::Sides { height, width } => [width, height],
    });
    let interpolation = match settings.resample {
        2 => InterpolationSetting::Bilinear,
        3 => InterpolationSetting::Bicubic,
        _ => return Err(invalid("`resample` must be 2 (bilinear) or 3 (bicubic)")),
    };
    let (mean, std) = settings.mean_and_std().ok_or_else(|| invalid("`image_mean` and `image_std` are missing"))?;
    let rescale = settings.rescale();
    Ok(PreprocessSettings { resize, crop, interpolation, rescale, mean, std })
}

impl PreprocessorConfig {
    fn crops(&self) -> bool {
        self.do_center_crop.unwrap_or(self.crop_size.is_some())
    }

    fn rescale(&self) -> f32 {
        if self.do_rescale { self.rescale_factor.unwrap_or(1.0 / 255.0) } else { 1.0 }
    }

    fn mean_and_std(&self) -> Option<([f32; 3], [f32; 3])> {
        if self.do_normalize { self.image_mean.zip(self.image_std) } else { Some(([0.0; 3], [1.0; 3])) }
    }
}

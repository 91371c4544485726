//! The two graphs of a model. What a graph says of itself (names, element types, fixed sizes) is read from it once;
//! anything that isn't a half of a CLIP-like model is refused with what was found.

use std::borrow::Cow;

use camino::Utf8Path;
use ort::{
    session::{Session, SessionInputValue},
    value::{Outlet, Tensor, TensorElementType, TensorRef},
};

use crate::{bundle::BundleError, model_error::ModelError, text::Tokens};

/// Names of the outputs that hold the embedding, the likeliest first. Without one of them, the only 2-D output is taken.
const IMAGE_OUTPUTS: [&str; 4] = ["image_embeds", "embedding", "image_features", "pooler_output"];
const TEXT_OUTPUTS: [&str; 4] = ["text_embeds", "embedding", "text_features", "pooler_output"];

/// One output row for each input.
pub(crate) type Rows = Vec<Vec<f32>>;

/// `[N, 3, height, width]` f32 → `[N, dimension]` f32.
#[derive(Debug, Clone)]
pub(crate) struct ImageGraph {
    input: String,
    output: String,
    /// Some exports take one image a run.
    pub(crate) single: bool,
    /// Width and height in pixels, where the graph fixes them.
    pub(crate) size: Option<(u32, u32)>,
}

/// Token ids, and perhaps a mask, `[1, tokens]` → `[1, dimension]` f32.
#[derive(Debug, Clone)]
pub(crate) struct TextGraph {
    inputs: Vec<TextInput>,
    output: String,
    /// Tokens, where the graph fixes their number.
    pub(crate) length: Option<usize>,
}

#[derive(Debug, Clone)]
struct TextInput {
    name: String,
    is_int32: bool,
    holds: TextInputKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextInputKind {
    Ids,
    Mask,
    /// BERT-like encoders tell two sentences apart; a query is one.
    Segments,
    Positions,
}

impl ImageGraph {
    pub(crate) fn inspect(path: &Utf8Path, session: &Session) -> Result<Self, BundleError> {
        let refuse = |reason: String| BundleError::NotClip { path: path.to_owned(), part: "image", reason };
        let [input] = session.inputs() else {
            return Err(refuse(format!(
                "it has {} inputs ({}), not one",
                session.inputs().len(),
                describe(session.inputs())
            )));
        };
        let is_float = input.dtype().tensor_type() == Some(TensorElementType::Float32);
        let shape = input.dtype().tensor_shape().map_or(&[][..], |shape| &shape[..]);
        let &[batch, channels, height, width] = shape else {
            return Err(refuse(format!(
                "its input is {}, not pixels [N, 3, height, width]",
                describe(session.inputs())
            )));
        };
        if !is_float || !(channels == 3 || channels < 0) {
            return Err(refuse(format!(
                "its input is {}, not float32 [N, 3, height, width]",
                describe(session.inputs())
            )));
        }
        if batch > 1 {
            return Err(refuse(format!("its batch is fixed at {batch}; export it with a dynamic batch, or 1")));
        }
        let output = embedding_output(session.outputs(), &IMAGE_OUTPUTS).map_err(refuse)?;
        let size = u32::try_from(width).ok().zip(u32::try_from(height).ok());
        Ok(Self { input: input.name().to_owned(), output, single: batch == 1, size })
    }

    /// `pixels` holds `count` images of `size` (width, height), channel by channel.
    pub(crate) fn run(
        &self,
        session: &mut Session,
        pixels: &[f32],
        count: usize,
        size: (u32, u32),
    ) -> Result<Rows, ModelError> {
        let fail = |error| ModelError::run("image", error);
        let shape = [count, 3, size.1 as usize, size.0 as usize];
        let tensor = TensorRef::from_array_view((shape, pixels)).map_err(fail)?;
        let outputs = session.run(ort::inputs! { self.input.as_str() => tensor }).map_err(fail)?;
        let (shape, numbers) = outputs[self.output.as_str()].try_extract_tensor::<f32>().map_err(fail)?;
        rows("image", shape, numbers, count)
    }
}

impl TextGraph {
    pub(crate) fn inspect(path: &Utf8Path, session: &Session) -> Result<Self, BundleError> {
        let refuse = |reason: String| BundleError::NotClip { path: path.to_owned(), part: "text", reason };
        let inputs: Vec<_> =
            session.inputs().iter().map(TextInput::inspect).collect::<Result<_, _>>().map_err(refuse)?;
        if inputs.iter().filter(|input| input.holds == TextInputKind::Ids).count() != 1 {
            return Err(refuse(format!("its inputs are {}, not one of token ids", describe(session.inputs()))));
        }
        let mut lengths = session.inputs().iter().filter_map(|input| input.dtype().tensor_shape()?.get(1).copied());
        let length = lengths.find(|length| *length > 0).map(|length| length as usize);
        let output = embedding_output(session.outputs(), &TEXT_OUTPUTS).map_err(refuse)?;
        Ok(Self { inputs, output, length })
    }

    pub(crate) fn run(&self, session: &mut Session, tokens: &Tokens) -> Result<Vec<f32>, ModelError> {
        let fail = |error| ModelError::run("text", error);
        let inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = self
            .inputs
            .iter()
            .map(|input| Ok((Cow::from(input.name.as_str()), input.tensor(tokens)?)))
            .collect::<ort::Result<_>>()
            .map_err(fail)?;
        let outputs = session.run(inputs).map_err(fail)?;
        let (shape, numbers) = outputs[self.output.as_str()].try_extract_tensor::<f32>().map_err(fail)?;
        Ok(rows("text", shape, numbers, 1)?.swap_remove(0))
    }
}

impl TextInput {
    fn inspect(input: &Outlet) -> Result<Self, String> {
        let is_int32 = match input.dtype().tensor_type() {
            Some(TensorElementType::Int32) => true,
            Some(TensorElementType::Int64) => false,
            _ => return Err(format!("its input {} is {}, not int32 or int64 tokens", input.name(), input.dtype())),
        };
        let holds = match input.name() {
            "attention_mask" => TextInputKind::Mask,
            "token_type_ids" => TextInputKind::Segments,
            "position_ids" => TextInputKind::Positions,
            "input_ids" | "text" | "tokens" | "input" => TextInputKind::Ids,
            other => return Err(format!("its input {other:?} is not known; token ids are called input_ids or text")),
        };
        if input.dtype().tensor_shape().is_some_and(|shape| shape.len() != 2 || shape[0] > 1) {
            return Err(format!("its input {} is {}, not [1, tokens]", input.name(), input.dtype()));
        }
        Ok(Self { name: input.name().to_owned(), is_int32, holds })
    }

    fn tensor(&self, tokens: &Tokens) -> ort::Result<SessionInputValue<'static>> {
        let length = tokens.ids.len();
        let numbers: Vec<u32> = match self.holds {
            TextInputKind::Ids => tokens.ids.clone(),
            TextInputKind::Mask => tokens.mask.clone(),
            TextInputKind::Segments => vec![0; length],
            TextInputKind::Positions => (0..length as u32).collect(),
        };
        Ok(if self.is_int32 {
            let numbers: Vec<i32> = numbers.into_iter().map(u32::cast_signed).collect();
            Tensor::from_array(([1, length], numbers))?.into()
        } else {
            let numbers: Vec<i64> = numbers.into_iter().map(i64::from).collect();
            Tensor::from_array(([1, length], numbers))?.into()
        })
    }
}

/// Picks the output that is the embedding. How long its rows are, the trial run shows.
fn embedding_output(outputs: &[Outlet], names: &[&str]) -> Result<String, String> {
    let rank = |outlet: &Outlet| outlet.dtype().tensor_shape().map_or(0, |shape| shape.len());
    let named = names.iter().find_map(|name| outputs.iter().find(|outlet| outlet.name() == *name));
    let flat: Vec<&Outlet> = outputs.iter().filter(|outlet| rank(outlet) == 2).collect();
    let output = match (named, flat.as_slice()) {
        (Some(output), _) => output,
        (None, [output]) => output,
        _ => return Err(format!("none of its outputs ({}) is an embedding [N, dimension]", describe(outputs))),
    };
    if rank(output) != 2 {
        return Err(format!("its output {} is {}, not [N, dimension]", output.name(), output.dtype()));
    }
    if output.dtype().tensor_type() != Some(TensorElementType::Float32) {
        return Err(format!("its output {} is {}; float32 is needed", output.name(), output.dtype()));
    }
    Ok(output.name().to_owned())
}

fn describe(outlets: &[Outlet]) -> String {
    let described: Vec<String> =
        outlets.iter().map(|outlet| format!("{}: {}", outlet.name(), outlet.dtype())).collect();
    described.join(", ")
}

/// Splits `[count, dimension]` into rows.
fn rows(graph: &'static str, shape: &[i64], numbers: &[f32], count: usize) -> Result<Rows, ModelError> {
    match shape {
        &[batch, dimension] if batch == count as i64 && dimension > 0 => {
            Ok(numbers.chunks_exact(dimension as usize).map(<[f32]>::to_vec).collect())
        }
        _ => Err(ModelError::Shape { graph, expected: vec![count as i64, -1], found: shape.to_vec() }),
    }
}

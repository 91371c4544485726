//! What can go wrong when a loaded model runs. Vectors that no index can hold are errors here, so none leaves the crate.

use std::sync::Arc;

/// A model that ran, or should have, and gave nothing usable. Cheap to clone: the text cache shares it among waiters.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ModelError {
    #[error("ONNX Runtime failed on the {graph} graph")]
    Run {
        graph: &'static str,
        #[source]
        source: Arc<ort::Error>,
    },
    #[error("the model's {graph} graph answered with shape {found:?} where {expected:?} was expected")]
    Shape { graph: &'static str, expected: Vec<i64>, found: Vec<i64> },
    #[error("the model gave NaN or infinite numbers for this input")]
    NotFinite,
    #[error("the model gave a zero vector for this input, which has no direction to compare")]
    Zero,
    #[error("the model gave a vector of length {length} where 1 was promised; set `normalise: true` in its model.yaml")]
    NotUnit { length: f32 },
    #[error("the text has nothing to search for")]
    EmptyText,
    #[error("the tokenizer failed on this text: {reason}")]
    Tokenize { reason: String },
}

impl ModelError {
    pub(crate) fn run(graph: &'static str, source: ort::Error) -> Self {
        Self::Run { graph, source: Arc::new(source) }
    }

    /// Trying again with the same input can't help.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Run { .. })
    }
}

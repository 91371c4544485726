//! From image files and texts to vectors: decoding, preprocessing, the model bundle, ONNX Runtime sessions, batching.
//! `media` and `decode` read files, `preprocess` makes a graph's input of pixels. `source` fetches a model, `bundle` reads
//! it in any of three layouts, `embedder` runs it.

pub mod bundle;
mod checksum;
pub mod decode;
mod embedder;
pub mod exif;
pub mod facts;
mod graph;
pub mod media;
mod memory;
mod model_error;
pub mod preprocess;
mod resize;
mod runtime;
pub mod source;
mod text;
mod threads;
pub mod variant;
mod vector;

pub use bundle::{Bundle, BundleError};
pub use checksum::{Checksum, FileChecksums, InvalidChecksum};
pub use embedder::{EmbedError, Embedder, EmbedderOptions, Prepared};
pub use model_error::ModelError;
pub use runtime::{RuntimeError, environment as onnx_environment};
pub use source::{FetchError, FetchOptions, InvalidSource, Progress, Source};
pub use threads::cpu_limit;
pub use vector::cosine;

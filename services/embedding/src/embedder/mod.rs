//! The embedding pipeline: bytes or text in, unit vectors out. Bounded at every stage, off the async threads, and with
//! separate sessions, so that who searches never waits behind an ingest batch.

mod background;
mod image;
mod load;
mod pool;
mod query;
mod sessions;

use std::sync::Arc;

use bytes::Bytes;
use camino::Utf8PathBuf;
use shared::{ImageFacts, ModelFingerprint, telemetry::TRACE};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, Span};

pub(crate) use self::pool::off_thread;
use self::{image::ImageModel, pool::acquire, query::TextModel};
use crate::{
    bundle::{Bundle, BundleError},
    decode::{self, DecodeError, Limits},
    facts,
    media::MediaType,
    model_error::ModelError,
    preprocess::Preprocess,
    threads::cpu_limit,
};

/// Query images decoded at once; they have places of their own, beside those of ingest.
const QUERY_DECODES: usize = 2;

/// How much of the machine a model may use.
#[derive(Debug, Clone)]
pub struct EmbedderOptions {
    /// The ONNX Runtime library; without it `ORT_DYLIB_PATH` and the usual places are tried.
    pub ort_library: Option<Utf8PathBuf>,
    /// Threads that compute batches. Default: the CPUs this process may use, by its cgroup.
    pub threads: usize,
    /// Images decoded at once. Default: the same.
    pub decode_threads: usize,
    /// Images that a batch has at most; all of its runs together take about 13 MB for each with the bundled model.
    pub batch_size: usize,
    /// Text vectors remembered.
    pub text_cache_entries: u64,
    /// What an image may cost to decode.
    pub limits: Limits,
}

impl Default for EmbedderOptions {
    fn default() -> Self {
        let threads = cpu_limit();
        Self {
            ort_library: None,
            threads,
            decode_threads: threads,
            batch_size: 4,
            text_cache_entries: 4_096,
            limits: Limits::default(),
        }
    }
}

/// An input that got no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl EmbedError {
    /// Trying again with the same input can't help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Decode(_) => true,
            Self::Model(error) => error.is_permanent(),
        }
    }
}

/// An image ready for the model, and what was found in its bytes. A few hundred kB, however large the image was.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub facts: ImageFacts,
    pub media: MediaType,
    pixels: Vec<f32>,
}

/// A loaded and warmed-up model. Cheap to clone; clones share sessions, cache and limits.
#[derive(Clone)]
pub struct Embedder(Arc<Inner>);

struct Inner {
    name: String,
    fingerprint: ModelFingerprint,
    dimension: usize,
    preprocess: Preprocess,
    limits: Limits,
    batch_size: usize,
    image: ImageModel,
    text: TextModel,
    ingest_decodes: Arc<Semaphore>,
    query_decodes: Arc<Semaphore>,
}

impl Embedder {
    /// Loads both graphs, checks that they belong together, and runs each once.
    ///
    /// # Errors
    /// Any fault that makes the model unusable, a missing ONNX Runtime among them.
    pub async fn load(bundle: Bundle, options: EmbedderOptions) -> Result<Self, BundleError> {
        off_thread(move || load::load(&bundle, &options)).await.map(|inner| Self(Arc::new(inner)))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn fingerprint(&self) -> &ModelFingerprint {
        &self.0.fingerprint
    }

    /// Length of every vector.
    pub fn dimension(&self) -> usize {
        self.0.dimension
    }

    /// What a caller of [`Self::embed_batch`] should collect: enough to keep all threads busy, not more.
    pub fn batch_size(&self) -> usize {
        self.0.batch_size
    }

    /// The vector of a text, cut to the model's context length as its tokenizer does.
    pub async fn embed_text(&self, text: &str) -> Result<Arc<[f32]>, EmbedError> {
        Ok(self.0.text.embed(text).instrument(self.query_span("text")).await?)
    }

    /// The vectors of texts that nobody searches for. They go one by one, so that a search waits behind one at most; and not
    /// on the threads of ingest, whose low priority would keep the session from searches for longer than that.
    pub async fn embed_reference_texts(
        &self,
        texts: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut vectors = Vec::new();
        for text in texts {
            vectors.push(self.0.text.embed_once(text).await?);
        }
        Ok(vectors)
    }

    /// The vector of an image that somebody waits for.
    pub async fn embed_query_image(&self, bytes: Bytes) -> Result<Vec<f32>, EmbedError> {
        let place = acquire(&self.0.query_decodes).await;
        let inner = Arc::clone(&self.0);
        let prepared = off_thread(move || inner.prepare_now(&bytes, place)).await?;
        Ok(self.0.image.embed_now(prepared.pixels).instrument(self.query_span("image")).await?)
    }

    fn query_span(&self, input: &'static str) -> Span {
        tracing::info_span!(target: TRACE, "embed", imagesearch.input = input, imagesearch.model = self.0.fingerprint.0)
    }

    /// Decodes and preprocesses an image. As many at once as `decode_threads`; further callers wait.
    pub async fn prepare(&self, bytes: Bytes) -> Result<Prepared, DecodeError> {
        let place = acquire(&self.0.ingest_decodes).await;
        let inner = Arc::clone(&self.0);
        self.0.image.background.run(move || inner.prepare_now(&bytes, place)).await
    }

    /// The vectors of a batch, in its order, each with what was found in its bytes.
    pub async fn embed_batch(&self, images: Vec<Prepared>) -> Vec<Result<(Vec<f32>, ImageFacts), EmbedError>> {
        let (facts, pixels): (Vec<_>, Vec<_>) = images.into_iter().map(|image| (image.facts, image.pixels)).unzip();
        let vectors = self.0.image.embed_batch(pixels, self.0.batch_size).await;
        vectors.into_iter().zip(facts).map(|(vector, facts)| Ok((vector?, facts))).collect()
    }
}

impl Inner {
    /// The place is held by the work and not by the caller, who may be gone while a large picture still takes its memory.
    fn prepare_now(&self, bytes: &[u8], _place: OwnedSemaphorePermit) -> Result<Prepared, DecodeError> {
        let _span = tracing::info_span!(target: TRACE, "decode", imagesearch.size_bytes = bytes.len() as i64).entered();
        let decoded = decode::decode(bytes, self.preprocess.decode_target(), &self.limits)?;
        Ok(Prepared {
            pixels: self.preprocess.pixels(&decoded.rgb),
            facts: facts::facts(&decoded),
            media: decoded.media,
        })
    }
}

//! Loading a model: sessions, the checks that only a loaded graph allows, and a trial run of each half, which is also
//! the warm-up.

use std::{sync::Arc, thread};

use camino::{Utf8Path, Utf8PathBuf};
use ort::{environment::Environment, session::Session};
use tokio::sync::Semaphore;

use super::{
    EmbedderOptions, Inner, QUERY_DECODES,
    background::Background,
    image::{ImageModel, ImageRunner},
    pool::SessionPool,
    query::{TextModel, TextRunner},
    sessions::{Load, Plan, open},
};
use crate::{
    bundle::{Bundle, BundleError},
    graph::{ImageGraph, TextGraph},
    memory::return_free_memory,
    runtime,
    text::TextEncoder,
    vector::finish,
};

/// Any text; what matters is that the run succeeds.
const TRIAL_TEXT: &str = "a photo";

pub(super) fn load(bundle: &Bundle, options: &EmbedderOptions) -> Result<Inner, BundleError> {
    let environment = runtime::environment(options.ort_library.as_deref())?;
    // The two halves take about the same time.
    let (image, text) = thread::scope(|scope| {
        let text = scope.spawn(|| load_text(bundle, &environment, options));
        let image = load_image(bundle, &environment, options);
        (image, text.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let ((image, image_dimension), (text, text_dimension)) = (image?, text?);
    return_free_memory();
    let manifest = bundle.manifest();
    let text_path = bundle.path(&manifest.text.graph);
    check_dimension(text_path, text_dimension, image_dimension, "the image graph's")?;
    if let Some(declared) = manifest.dimension {
        check_dimension(bundle.path(&manifest.image.graph), image_dimension, declared, "the model's settings say so")?;
    }
    Ok(Inner {
        name: bundle.name().to_owned(),
        fingerprint: bundle.fingerprint().clone(),
        dimension: image_dimension,
        preprocess: manifest.image.preprocess.to_preprocess(),
        limits: options.limits,
        batch_size: options.batch_size.max(1),
        image,
        text,
        ingest_decodes: Arc::new(Semaphore::new(options.decode_threads.max(1))),
        query_decodes: Arc::new(Semaphore::new(QUERY_DECODES)),
    })
}

fn check_dimension(path: Utf8PathBuf, found: usize, expected: usize, why: &'static str) -> Result<(), BundleError> {
    if found == expected { Ok(()) } else { Err(BundleError::WrongDimension { path, expected, found, why }) }
}

fn load_image(
    bundle: &Bundle,
    environment: &Environment,
    options: &EmbedderOptions,
) -> Result<(ImageModel, usize), BundleError> {
    let path = bundle.path(&bundle.manifest().image.graph);
    let mut interactive = open(environment, &path, options.threads, Load::Sporadic)?;
    let graph = ImageGraph::inspect(&path, &interactive)?;
    let size = bundle.manifest().image.preprocess.to_preprocess().input_size();
    if let Some(fixed) = graph.size.filter(|fixed| *fixed != size) {
        let [graph, settings] = [fixed, size].map(|(width, height)| format!("{width} x {height}"));
        return Err(BundleError::WrongInputSize { path, graph, settings });
    }
    let runner = ImageRunner { graph, size, normalise: bundle.manifest().normalise };
    let dimension = try_image(&path, &runner, &mut interactive)?;
    let mut batch = Vec::new();
    let plan = Plan::of(&path, options.threads);
    let background = Background::new(plan.sessions + options.decode_threads).map_err(BundleError::Threads)?;
    for _ in 0..plan.sessions {
        // There, because a session's own threads are as nice as the one that opens it.
        let mut session = background.install(|| open(environment, &path, plan.threads, Load::Steady))?;
        try_image(&path, &runner, &mut session)?;
        batch.push(session);
    }
    let [batch, interactive] = [batch, vec![interactive]].map(SessionPool::new);
    let background = Arc::new(background);
    Ok((ImageModel { runner: Arc::new(runner), batch, background, interactive }, dimension))
}

fn load_text(
    bundle: &Bundle,
    environment: &Environment,
    options: &EmbedderOptions,
) -> Result<(TextModel, usize), BundleError> {
    let part = &bundle.manifest().text;
    let path = bundle.path(&part.graph);
    let mut session = open(environment, &path, options.threads, Load::Sporadic)?;
    let graph = TextGraph::inspect(&path, &session)?;
    let encoder = TextEncoder::load(&bundle.path(&part.tokenizer), part, graph.length)?;
    let runner = TextRunner { graph, normalise: bundle.manifest().normalise };
    let trial = encoder.encode(TRIAL_TEXT).and_then(|tokens| runner.graph.run(&mut session, &tokens));
    let vector = trial
        .and_then(|row| finish(&row, runner.normalise))
        .map_err(|source| BundleError::TrialRun { path, source })?;
    let pool = SessionPool::new(vec![session]);
    Ok((TextModel::new(encoder, runner, pool, options.text_cache_entries), vector.len()))
}

/// Runs one picture; gives the length of its vector.
fn try_image(path: &Utf8Path, runner: &ImageRunner, session: &mut Session) -> Result<usize, BundleError> {
    let numbers = 3 * runner.size.0 as usize * runner.size.1 as usize;
    // A ramp from −1 to 1: unlike one colour, it makes no sane graph answer with zeros.
    let pixels = (0..numbers).map(|index| 2.0 * index as f32 / numbers as f32 - 1.0).collect();
    let vector = runner.run(session, &[pixels]).swap_remove(0);
    vector.map(|vector| vector.len()).map_err(|source| BundleError::TrialRun { path: path.to_owned(), source })
}

//! What starts a reconcile, and what becomes of one that fails.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::PartialObjectMeta,
    core::{ApiResource, DeserializeGuard, DynamicObject},
    runtime::{
        Controller, WatchStreamExt,
        controller::{self, Action},
        events::{Recorder, Reporter},
        reflector::{ObjectRef, Store},
        utils::Backoff,
        watcher,
    },
};
use shared::telemetry::TRACE;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field::Empty};

use super::{
    apply, build,
    defaults::Defaults,
    error::ReconcileError,
    fetch::{self, Known},
    kinds,
    names::{self, INSTANCE_LABEL},
    scaling,
    stack::Stack,
    status::{self, Seen},
    validate,
};
use crate::{
    autoscaler::Autoscaler,
    crd::{BesideState, ImageSearchStack},
    metrics::Metrics,
};

/// Everything is looked at again so often, whatever was heard: a watch that missed something is no reason for a stack to stay
/// wrong.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// The same while the model is changed.
const LOOK_AT_CHANGE: Duration = Duration::from_secs(10);
/// While something is waited for that no watch tells of: that somebody installs a kind, say.
const LOOK_AGAIN_SOON: Duration = Duration::from_secs(30);
/// One change comes as many: a Deployment, its pods, their states.
const SETTLE: Duration = Duration::from_millis(500);
/// Stacks that are reconciled at the same time.
const PARALLEL: u16 = 4;
/// Which kinds the cluster knows is asked anew so often: somebody may install them.
const KNOWN_FRESH: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What every reconcile needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) autoscaler: Autoscaler,
    known: tokio::sync::Mutex<Option<(Instant, Known)>>,
    failures: std::sync::Mutex<std::collections::HashMap<ObjectRef<ImageSearchStack>, u32>>,
}

type Guarded = DeserializeGuard<ImageSearchStack>;

/// Reconciles until told to stop.
pub async fn run(
    client: Client,
    defaults: Arc<Defaults>,
    watched: Option<&str>,
    autoscaler: Autoscaler,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let reporter = Reporter { controller: names::MANAGER.into(), instance: std::env::var("POD_NAME").ok() };
    let counted = metrics.clone();
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        defaults,
        metrics,
        autoscaler: autoscaler.clone(),
        known: tokio::sync::Mutex::default(),
        failures: std::sync::Mutex::default(),
    });
    let mut broken_watches = BrokenWatches::default();
    watching(watched, &context)
        .trigger_backoff(WatchPause)
        .with_config(controller::Config::default().debounce(SETTLE).concurrency(PARALLEL))
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile_guarded, when_failed, context)
        .for_each(|reconciled| {
            match reconciled {
                // There is no finalizer: a stack that is gone is noticed by not being found.
                Err(controller::Error::ObjectNotFound(gone)) => {
                    let stack = ObjectRef::new(&gone.name).within(gone.namespace.as_deref().unwrap_or_default());
                    autoscaler.set(&stack, None);
                    counted.forget(&stack);
                }
                Err(controller::Error::QueueError(error)) => broken_watches.tell(&error),
                _ => {}
            }
            std::future::ready(())
        })
        .await;
}

/// Everything that a stack is looked at for: itself, what belongs to it, what it names, and what waits in its queue.
fn watching(watched: Option<&str>, context: &Arc<Context>) -> Controller<Guarded> {
    let client = &context.client;
    let stacks: Api<Guarded> = within(watched, client);
    let controller = Controller::new(stacks, watcher::Config::default());
    let store = controller.store();
    let routes = children_of_kind(&kinds::http_route(), |known| known.http_routes, watched, context);
    let monitors = children_of_kind(&kinds::pod_monitor(), |known| known.pod_monitors, watched, context);
    // Of what belongs to a stack only the metadata are read here; a change is reason enough to look.
    controller
        .watches(children::<Deployment>(watched, client), ours(), of_stack)
        .watches(children::<StatefulSet>(watched, client), ours(), of_stack)
        .watches(children::<Service>(watched, client), ours(), of_stack)
        .watches(children::<ConfigMap>(watched, client), ours(), of_stack)
        .watches(children::<ServiceAccount>(watched, client), ours(), of_stack)
        .watches(children::<NetworkPolicy>(watched, client), ours(), of_stack)
        .watches(children::<PodDisruptionBudget>(watched, client), ours(), of_stack)
        .watches(children::<HorizontalPodAutoscaler>(watched, client), ours(), of_stack)
        .watches(children::<Ingress>(watched, client), ours(), of_stack)
        .watches(children::<Job>(watched, client), ours(), of_stack)
        .watches(children::<CronJob>(watched, client), ours(), of_stack)
        .watches(children::<PersistentVolumeClaim>(watched, client), ours(), of_stack)
        .watches(children::<Pod>(watched, client), ours(), of_stack)
        .watches(children::<Secret>(watched, client), watcher::Config::default(), move |secret| {
            of_secret(&store, &secret)
        })
        .reconcile_on(routes)
        .reconcile_on(monitors)
        .reconcile_on(context.autoscaler.changes().map(|stack| stack.into_kind_unchecked(())))
}

/// Between two tries of watches that broke off. All of them share it, and one is tried after each: with a pause that doubles,
/// as is the default, an API server that was away for seconds is not heard for a minute.
struct WatchPause;

impl Iterator for WatchPause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(250))
    }
}

impl Backoff for WatchPause {
    fn reset(&mut self) {}
}

/// Says that watches break off, and not each time: there are many, and each is tried again until it works.
#[derive(Default)]
struct BrokenWatches {
    told: Option<Instant>,
}

impl BrokenWatches {
    fn tell(&mut self, error: &(dyn std::error::Error + 'static)) {
        const SILENCE: Duration = Duration::from_secs(30);
        if self.told.is_none_or(|told| told.elapsed() > SILENCE) {
            tracing::warn!(error, "watches broke off; they are tried again until they work");
            self.told = Some(Instant::now());
        }
    }
}

/// One namespace, or all.
fn within<K>(watched: Option<&str>, client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    watched.map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace))
}

/// Metadata are all that is read of children here.
fn children<K>(watched: Option<&str>, client: &Client) -> Api<PartialObjectMeta<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    within(watched, client)
}

/// Changes of children of a kind that is not Kubernetes's own: watched from when the cluster knows it.
fn children_of_kind(
    kind: &ApiResource,
    is_known: fn(Known) -> bool,
    watched: Option<&str>,
    context: &Arc<Context>,
) -> impl Stream<Item = ObjectRef<Guarded>> + Send + use<> {
    let client = context.client.clone();
    let api: Api<PartialObjectMeta<DynamicObject>> = match watched {
        None => Api::all_with(client, kind),
        Some(namespace) => Api::namespaced_with(client, namespace, kind),
    };
    let context = context.clone();
    stream::once(async move { context.until_known(is_known).await })
        .flat_map(move |()| watcher(api.clone(), ours()).default_backoff().touched_objects())
        .filter_map(async |touched| match touched {
            Ok(child) => of_stack(child),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a watch broke off; it is begun again");
                None
            }
        })
}

/// What was made here.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGER))
}

/// The stack that a child belongs to.
#[expect(clippy::needless_pass_by_value, reason = "as a controller calls it")]
fn of_stack<K: Resource>(child: PartialObjectMeta<K>) -> Option<ObjectRef<Guarded>> {
    let stack = child.labels().get(INSTANCE_LABEL)?;
    Some(ObjectRef::new(stack).within(child.namespace()?.as_str()))
}

/// Stacks that a Secret belongs to, or that name it.
fn of_secret(store: &Store<Guarded>, secret: &PartialObjectMeta<Secret>) -> Vec<ObjectRef<Guarded>> {
    let (name, namespace) = (secret.name_any(), secret.namespace());
    let ours = secret.labels().get(names::MANAGED_BY_LABEL).is_some_and(|manager| manager == names::MANAGER);
    let owner = ours.then(|| of_stack(secret.clone())).flatten();
    let naming = store.state().into_iter().filter_map(|guarded| {
        let stack = guarded.0.as_ref().ok()?;
        let needs_it = stack.namespace() == namespace && validate::needs_secret(stack, &name);
        needs_it.then(|| ObjectRef::from_obj(guarded.as_ref()))
    });
    owner.into_iter().chain(naming).collect()
}

async fn reconcile_guarded(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    match &guarded.0 {
        Ok(stack) => {
            let started = Instant::now();
            let span = reconcile_span(stack);
            let outcome = Box::pin(reconcile(stack, &context).instrument(span.clone())).await;
            span.record("imagesearch.outcome", if outcome.is_ok() { "ok" } else { "failed" });
            if let Err(error) = &outcome {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", error.reason());
            }
            context.metrics.reconciled(started.elapsed(), outcome.as_ref().err().map(ReconcileError::reason));
            if outcome.is_ok() {
                context.forget_failures(&ObjectRef::from_obj(stack));
            }
            outcome
        }
        // Nothing to be done before somebody changes it.
        Err(invalid) => {
            tracing::error!(error = invalid as &dyn std::error::Error, "a stack can't be understood");
            Ok(Action::await_change())
        }
    }
}

/// A reconcile is a trace: a stack is changed by its end, whoever asked for it.
fn reconcile_span(stack: &ImageSearchStack) -> Span {
    tracing::info_span!(
        target: TRACE,
        parent: None,
        "reconcile",
        otel.status_code = Empty,
        "error.type" = Empty,
        imagesearch.stack = stack.name_any(),
        k8s.namespace.name = stack.namespace(),
        imagesearch.generation = stack.metadata.generation,
        imagesearch.outcome = Empty,
    )
}

async fn reconcile(resource: &ImageSearchStack, context: &Context) -> Result<Action, ReconcileError> {
    let client = &context.client;
    let fetching = async { fetch::observed(resource, client, context.known().await?).await };
    let observed = fetching.instrument(step("fetch")).await?;
    if observed.terminating || resource.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let stack = validate::stack(resource, &observed, &context.defaults)?;
    let paused = resource.is_paused();
    let outcome = match &stack {
        Ok(stack) if !paused => {
            let applying = apply::children(stack, build::children(stack), &observed, client);
            Some(Box::pin(applying).instrument(step("apply")).await?)
        }
        _ => None,
    };
    let key = ObjectRef::from_obj(resource);
    match (&stack, &outcome) {
        (Ok(stack), Some(outcome)) => {
            context.autoscaler.set(&key, Some(scaling::target(stack, &observed, outcome)));
        }
        (Ok(_), None) => context.autoscaler.set(&key, None),
        // Workers are scaled as before while the spec can't be understood.
        (Err(_), _) => {}
    }
    let scaling = context.autoscaler.status(&key);
    let seen = Seen {
        resource,
        observed: &observed,
        stack: stack.as_ref().map_err(Vec::as_slice),
        outcome: outcome.as_ref(),
        scaling: scaling.as_ref(),
        paused,
    };
    let is_ready = status::update(&seen, client, &context.recorder).instrument(step("status")).await?;
    context.metrics.set_ready(&key, is_ready);
    match outcome
        .as_ref()
        .map(|outcome| &outcome.failures)
        .and_then(|failures| Some((failures.len(), failures.first()?)))
    {
        Some((failed, first)) => Err(ReconcileError::Children { failed, first: first.child.clone() }),
        None => Ok(Action::requeue(stack.map_or(LOOK_AGAIN_SOON, |stack| look_again(&stack, observed.now)))),
    }
}

/// When something is to be done that no watch tells of.
fn look_again(stack: &Stack, now: Timestamp) -> Duration {
    let Some(beside) = &stack.model.plan.beside else { return LOOK_AGAIN };
    let until = beside.until.as_ref().filter(|_| beside.state == BesideState::Kept);
    let left = until.and_then(|until| Duration::try_from(until.0.duration_since(now)).ok());
    // One whose time is over waits for something else.
    left.filter(|left| !left.is_zero()).map_or(LOOK_AT_CHANGE, |left| left.clamp(FIRST_PAUSE, LOOK_AGAIN))
}

/// One of the steps that talk to the cluster.
fn step(name: &'static str) -> Span {
    tracing::info_span!(target: TRACE, "step", otel.name = name)
}

#[expect(clippy::needless_pass_by_value, reason = "as a controller calls it")]
fn when_failed(guarded: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let key = ObjectRef::<ImageSearchStack>::new(&guarded.name_any()).within(&guarded.namespace().unwrap_or_default());
    let failures = context.count_failure(&key);
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
    tracing::error!(
        error = error as &dyn std::error::Error, stack = %key, retry_in_s = pause.as_secs(), "a stack could not be reconciled"
    );
    Action::requeue(pause)
}

impl Context {
    /// Returns once the cluster knows a kind.
    async fn until_known(&self, is_known: fn(Known) -> bool) {
        while !self.known().await.is_ok_and(is_known) {
            tokio::time::sleep(KNOWN_FRESH).await;
        }
    }

    /// Which kinds the cluster knows.
    async fn known(&self) -> Result<Known, ReconcileError> {
        let mut known = self.known.lock().await;
        match *known {
            Some((asked, known)) if asked.elapsed() < KNOWN_FRESH => Ok(known),
            _ => {
                let asked = fetch::known(&self.client).await?;
                *known = Some((Instant::now(), asked));
                Ok(asked)
            }
        }
    }

    fn count_failure(&self, stack: &ObjectRef<ImageSearchStack>) -> u32 {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = failures.entry(stack.clone()).or_default();
        *count += 1;
        *count - 1
    }

    fn forget_failures(&self, stack: &ObjectRef<ImageSearchStack>) {
        self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(stack);
    }
}

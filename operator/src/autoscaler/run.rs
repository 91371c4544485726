//! The loop of one stack: read, decide, scale, tell.

use std::{error::Error, sync::Arc, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, autoscaling::v1::Scale};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use super::{
    FIELD_MANAGER, Hold, Inner, Lag, LagError, LagReader, Scaling, StackRef, Target,
    decide::{Reason, State, decide},
};
use crate::crd::AutoscalingMode;

const EVERY: Duration = Duration::from_secs(2);
/// How long the API server may take, so that one that hangs is noticed.
const API_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Run {
    inner: Arc<Inner>,
    stack: StackRef,
    target: watch::Receiver<Target>,
}

/// What is kept from one look to the next.
struct Session<'a> {
    inner: &'a Inner,
    stack: &'a StackRef,
    target: Target,
    reader: LagReader,
    state: State,
    last: Option<Lag>,
    /// What was wrong at the last look: it is logged when it begins and when it ends.
    trouble: Option<&'static str>,
}

impl Run {
    pub(super) fn new(inner: Arc<Inner>, stack: StackRef, target: watch::Receiver<Target>) -> Self {
        Self { inner, stack, target }
    }

    pub(super) async fn run(mut self) {
        let mut leading = self.inner.leading.clone();
        while leading.wait_for(|leading| *leading).await.is_ok() {
            // Whoever leads alone may scale: what is under way when another does is given up.
            tokio::select! {
                () = lost(&mut leading) => {}
                () = self.lead() => return,
            }
            self.inner.forget(&self.stack);
        }
    }

    /// Until the stack is gone.
    async fn lead(&mut self) {
        let target = self.target.borrow_and_update().clone();
        let mut session = Session::new(&self.inner, &self.stack, target);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => session.look().await,
                changed = self.target.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    session.retarget(self.target.borrow_and_update().clone());
                    ticks.reset_immediately();
                }
            }
        }
    }
}

async fn lost(leading: &mut watch::Receiver<bool>) {
    // The election is over when it can't be watched any more.
    let _ = leading.wait_for(|leading| !*leading).await;
}

impl<'a> Session<'a> {
    fn new(inner: &'a Inner, stack: &'a StackRef, target: Target) -> Self {
        let mut reader = LagReader::new(target.nats.clone(), target.stream.clone());
        reader.set_beside(target.beside.clone());
        Self { inner, stack, target, reader, state: State::default(), last: None, trouble: None }
    }

    fn retarget(&mut self, target: Target) {
        if (&target.nats, &target.stream) != (&self.target.nats, &self.target.stream) {
            self.reader = LagReader::new(target.nats.clone(), target.stream.clone());
        }
        self.reader.set_beside(target.beside.clone());
        if target.deployment != self.target.deployment || target.settings.mode != self.target.settings.mode {
            self.state = State::default();
        }
        self.target = target;
    }

    async fn look(&mut self) {
        let read = self.reader.read().await;
        if let Ok(lag) = read {
            self.last = Some(lag);
        }
        let lag = match (&self.target.hold, &read) {
            // It says more than what follows from it.
            (Some(message), _) => Err(Hold::new("StoreNotReady", message)),
            (None, Ok(lag)) => Ok(lag.total()),
            (None, Err(error)) => Err(unread(error)),
        };
        let (desired, active) = match self.target.settings.mode {
            AutoscalingMode::Lag => self.scale(lag).await,
            AutoscalingMode::Fixed => (Some(self.target.settings.max), lag.map(drop)),
            AutoscalingMode::External => (None, lag.map(drop)),
        };
        self.log(&active);
        let backlog = self.last.map(Into::into);
        let progress = self.reader.progress().cloned();
        let scaling = Scaling { mode: self.target.settings.mode, backlog, progress, desired, active };
        self.inner.report(self.stack, read.as_ref(), scaling);
    }

    /// Brings the Deployment to what is decided, and says what that is.
    async fn scale(&mut self, lag: Result<u64, Hold>) -> (Option<i32>, Result<(), Hold>) {
        let current = match self.current().await {
            Ok(current) => current,
            Err(hold) => {
                self.state.gap();
                return (None, Err(hold));
            }
        };
        let shown_lag = lag.as_ref().ok().copied();
        let now = Instant::now().into_std();
        let decision = decide(&mut self.state, &self.target.settings, now, current, lag);
        let mut active = match decision.reason {
            Reason::Held(ref hold) => Err(hold.clone()),
            _ => Ok(()),
        };
        if decision.replicas != current {
            match self.patch(decision.replicas).await {
                Ok(()) => info!(
                    stack = %self.stack, from = current, to = decision.replicas, lag = shown_lag,
                    reason = ?decision.reason, "scaled the workers",
                ),
                Err(hold) => active = Err(hold),
            }
        }
        (Some(decision.replicas), active)
    }

    async fn current(&self) -> Result<i32, Hold> {
        let name = &self.target.deployment;
        let scale = answered(self.deployments().get_scale(name), "read the scale of", name).await?;
        // Zero is left out of what the API server writes.
        Ok(scale.spec.and_then(|spec| spec.replicas).unwrap_or(0))
    }

    async fn patch(&self, replicas: i32) -> Result<(), Hold> {
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let name = &self.target.deployment;
        answered(self.deployments().patch_scale(name, &parameters, &patch), "scale", name).await.map(drop)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.inner.client.clone(), &self.target.namespace)
    }

    fn log(&mut self, active: &Result<(), Hold>) {
        let trouble = active.as_ref().err().map(|hold| hold.reason);
        if trouble == self.trouble {
            return;
        }
        match active {
            Ok(()) => info!(stack = %self.stack, "the lag is read again"),
            Err(hold) => warn!(stack = %self.stack, reason = hold.reason, "workers are not scaled: {}", hold.message),
        }
        self.trouble = trouble;
    }
}

async fn answered(
    call: impl Future<Output = kube::Result<Scale>>,
    what: &str,
    deployment: &str,
) -> Result<Scale, Hold> {
    match timeout(API_TIMEOUT, call).await {
        Ok(Ok(scale)) => Ok(scale),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            Err(Hold::new("DeploymentMissing", format!("the Deployment {deployment} is not there")))
        }
        Ok(Err(error)) => {
            Err(Hold::new("ScaleFailed", format!("cannot {what} the Deployment {deployment}: {}", chain(&error))))
        }
        Err(_) => {
            Err(Hold::new("ScaleFailed", format!("cannot {what} the Deployment {deployment}: no answer in time")))
        }
    }
}

fn unread(error: &LagError) -> Hold {
    let reason = match error {
        LagError::Settings { .. } => "QueueSettingsInvalid",
        LagError::Refused { .. } => "QueueRefused",
        LagError::Connect { .. } | LagError::Request { .. } | LagError::Timeout { .. } => "QueueUnreachable",
    };
    Hold::new(reason, chain(error))
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let source_text = source.to_string();
        // Some repeat their cause.
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        cause = source.source();
    }
    text
}

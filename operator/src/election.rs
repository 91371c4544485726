//! Which of several operators works: the one whose name stands in a Lease, as Kubernetes' own controllers do it (client-go's
//! `leaderelection`). The holder writes the Lease every two seconds; the others take it over when it has not changed for as
//! long as it says. They judge that by when they saw it change, never by the time in it: clocks may differ.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A Lease that nobody renewed for this long may be taken. With what it takes others to notice a renewal (`RETRY`), the next
/// one leads 15 s after a leader was killed, at the latest.
const LEASE_DURATION: Duration = Duration::from_secs(12);
/// A leader that could not renew for this long has stopped before another one begins.
const RENEW_DEADLINE: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_secs(2);
/// How long the API server may take: half of the deadline, so that there is a second try.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// One candidate.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    leading: watch::Sender<bool>,
    /// The Lease as this one wrote it last: it can be written again without a look.
    held: Option<Lease>,
    /// What another one wrote, and since when it is like this.
    observed: Option<(LeaseSpec, Instant)>,
    /// When the last write that made or kept this one the leader was sent; others count from when it arrived, or later.
    renewed: Option<Instant>,
    failing: bool,
}

#[derive(Debug, thiserror::Error)]
enum ElectionError {
    #[error("cannot {what} the lease")]
    Api {
        what: &'static str,
        #[source]
        source: kube::Error,
    },
    #[error("cannot {what} the lease: no answer in time")]
    Timeout { what: &'static str },
    #[error("others write the lease all the time")]
    Contended,
}

impl Election {
    /// The identity is this process's alone: two with the same one would both lead.
    pub fn new(client: Client, namespace: &str, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.into(),
            identity: identity.into(),
            leading: watch::Sender::new(false),
            held: None,
            observed: None,
            renewed: None,
            failing: false,
        }
    }

    /// Whether this one leads. It says so no longer before anybody else may.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Until `shutdown`, which a leader gives when it has stopped to do what only a leader may: the next one takes over at
    /// once.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let next = Instant::now() + RETRY;
            // A request that hangs must not keep the leadership.
            let deadline = self.renewed.map_or(next + RENEW_DEADLINE, |renewed| renewed + RENEW_DEADLINE);
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = timeout_at(deadline, self.stand()) => self.resign_when_overdue(),
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = sleep_until(self.wake_at(next)) => self.resign_when_overdue(),
            }
        }
        self.resign("shutting down");
        self.release().await;
    }

    /// One try to become or to stay the leader.
    async fn stand(&mut self) {
        let began = Instant::now();
        match self.acquire_or_renew().await {
            Ok(true) => {
                self.renewed = Some(began);
                self.observed = None;
                self.failing = false;
                if self.say(true) {
                    info!(lease = self.name, identity = self.identity, "this operator leads");
                }
            }
            Ok(false) => {
                self.failing = false;
                self.resign("another one leads");
            }
            Err(error) if !self.failing => {
                self.failing = true;
                warn!(lease = self.name, error = &error as &dyn std::error::Error, "cannot stand for election");
            }
            Err(_) => {}
        }
    }

    /// Whether this one is the leader now. When somebody writes the Lease between a look and a write, it looks again.
    async fn acquire_or_renew(&mut self) -> Result<bool, ElectionError> {
        for _ in 0..2 {
            let known = match self.held.take() {
                Some(lease) => Some(lease),
                None => self.get().await?,
            };
            let spec = known.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
            if !self.is_mine(&spec) && !self.is_free(&spec) {
                return Ok(false);
            }
            let metadata = known.map_or_else(
                || ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                |lease| lease.metadata,
            );
            self.held = self.write(Lease { metadata, spec: Some(self.claim(spec)) }).await?;
            if self.held.is_some() {
                return Ok(true);
            }
        }
        Err(ElectionError::Contended)
    }

    fn is_mine(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_ref() == Some(&self.identity)
    }

    /// Nobody holds it, or who does was not seen to renew it for as long as it said.
    fn is_free(&mut self, spec: &LeaseSpec) -> bool {
        if spec.holder_identity.as_deref().unwrap_or_default().is_empty() {
            return true;
        }
        let now = Instant::now();
        match &self.observed {
            Some((observed, since)) if observed == spec => now >= *since + duration(spec),
            _ => {
                self.observed = Some((spec.clone(), now));
                false
            }
        }
    }

    /// The Lease with this one as its holder.
    fn claim(&self, before: LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mine = self.is_mine(&before);
        // Who makes the Lease took it from nobody.
        let transitions = before.lease_transitions.map_or(0, |transitions| transitions + i32::from(!mine));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            acquire_time: before.acquire_time.filter(|_| mine).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// When to look again: a Lease that runs out before the next try is taken the moment it does.
    fn wake_at(&self, next: Instant) -> Instant {
        let deadline = self.renewed.map(|renewed| renewed + RENEW_DEADLINE);
        let runs_out = self.observed.as_ref().map(|(spec, since)| *since + duration(spec));
        let now = Instant::now();
        [deadline, runs_out].into_iter().flatten().filter(|at| *at > now).fold(next, Instant::min)
    }

    fn resign_when_overdue(&mut self) {
        if self.renewed.is_some_and(|renewed| Instant::now() >= renewed + RENEW_DEADLINE) {
            self.resign("the lease could not be renewed in time");
        }
    }

    fn resign(&mut self, reason: &str) {
        self.renewed = None;
        if self.say(false) {
            warn!(lease = self.name, identity = self.identity, "this operator leads no longer: {reason}");
        }
    }

    /// Whether that is news. Who watches is woken by nothing else.
    fn say(&self, leads: bool) -> bool {
        self.leading.send_if_modified(|leading| std::mem::replace(leading, leads) != leads)
    }

    /// Leaves the Lease without a holder, so that nobody has to wait for it to run out.
    async fn release(&mut self) {
        for _ in 0..2 {
            let Ok(Some(lease)) = self.get().await else { return };
            let spec = lease.spec.unwrap_or_default();
            if !self.is_mine(&spec) {
                return;
            }
            let spec = LeaseSpec {
                holder_identity: None,
                lease_duration_seconds: Some(1),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..spec
            };
            match self.write(Lease { metadata: lease.metadata, spec: Some(spec) }).await {
                // Written meanwhile, by what was on its way when the shutdown came.
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    async fn get(&self) -> Result<Option<Lease>, ElectionError> {
        answered("read", self.leases.get_opt(&self.name)).await
    }

    /// Makes or replaces the Lease; none when it isn't any more what was looked at.
    async fn write(&self, lease: Lease) -> Result<Option<Lease>, ElectionError> {
        let parameters = PostParams::default();
        let (written, overtaken): (_, &[u16]) = if lease.metadata.resource_version.is_some() {
            (answered("write", self.leases.replace(&self.name, &parameters, &lease)).await, &[404, 409])
        } else {
            (answered("make", self.leases.create(&parameters, &lease)).await, &[409])
        };
        match written {
            Ok(lease) => Ok(Some(lease)),
            Err(ElectionError::Api { source: kube::Error::Api(status), .. }) if overtaken.contains(&status.code) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn duration(spec: &LeaseSpec) -> Duration {
    spec.lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(LEASE_DURATION, Duration::from_secs)
}

async fn answered<T>(what: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, ElectionError> {
    match timeout(REQUEST_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|source| ElectionError::Api { what, source }),
        Err(_) => Err(ElectionError::Timeout { what }),
    }
}

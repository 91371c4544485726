//! Leader election on a real API server.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use operator::election::Election;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The longest that nobody leads after a leader was killed.
const HANDOVER: Duration = Duration::from_secs(15);
/// How long a Lease counts that is not renewed.
const LEASE: Duration = Duration::from_secs(12);

struct Candidate {
    leading: watch::Receiver<bool>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Candidate {
    fn stand(client: Client, lease: &str, identity: &str) -> Self {
        let election = Election::new(client, "default", lease, identity);
        let (leading, shutdown) = (election.leading(), CancellationToken::new());
        let task = tokio::spawn(election.run(shutdown.clone()));
        Self { leading, shutdown, task }
    }

    async fn leads_within(&mut self, patience: Duration) {
        timeout(patience, self.leading.wait_for(|leading| *leading)).await.expect("it leads in time").unwrap();
    }

    async fn stops_within(&mut self, patience: Duration) {
        timeout(patience, self.leading.wait_for(|leading| !*leading)).await.expect("it stops in time").unwrap();
    }

    fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    /// As SIGKILL does: nothing is written any more.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn client() -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::try_default().await.expect("KUBECONFIG names no cluster")
}

fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), "default")
}

/// A Lease of each test's own.
fn lease() -> String {
    format!("election-{:016x}", rand::random::<u64>())
}

async fn spec(client: &Client, lease: &str) -> LeaseSpec {
    leases(client).get(lease).await.unwrap().spec.unwrap()
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn one_leads_and_the_next_takes_over_at_once_when_it_ends() {
    let (client, lease) = (client().await, lease());
    let mut first = Candidate::stand(client.clone(), &lease, "first");
    first.leads_within(Duration::from_secs(5)).await;
    let made = spec(&client, &lease).await;
    assert_eq!(made.holder_identity.as_deref(), Some("first"));
    assert_eq!((made.lease_duration_seconds, made.lease_transitions), (Some(12), Some(0)));
    let mut second = Candidate::stand(client.clone(), &lease, "second");
    sleep(Duration::from_secs(5)).await;
    assert!(first.leads() && !second.leads());
    let renewed = spec(&client, &lease).await;
    assert_eq!((&renewed.acquire_time, renewed.lease_transitions), (&made.acquire_time, Some(0)));
    assert!(renewed.renew_time.unwrap().0 > made.renew_time.unwrap().0);

    first.shutdown.cancel();
    first.task.await.unwrap();
    assert!(!*first.leading.borrow(), "it says so before it ends");
    second.leads_within(Duration::from_secs(4)).await;
    let taken = spec(&client, &lease).await;
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("second"), Some(1)));
    assert!(taken.acquire_time.unwrap().0 > made.acquire_time.unwrap().0);
    second.shutdown.cancel();
    second.task.await.unwrap();
    assert_eq!(spec(&client, &lease).await.holder_identity, None);
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_killed_leader_is_replaced_within_15_seconds_by_one_of_the_others() {
    let (client, lease) = (client().await, lease());
    let mut first = Candidate::stand(client.clone(), &lease, "first");
    first.leads_within(Duration::from_secs(5)).await;
    let mut others = ["second", "third"].map(|name| Candidate::stand(client.clone(), &lease, name));
    sleep(Duration::from_secs(3)).await;
    first.kill().await;
    let killed = Instant::now();
    let [second, third] = &mut others;
    tokio::select! {
        () = second.leads_within(HANDOVER) => {}
        () = third.leads_within(HANDOVER) => {}
    }
    // A renewal may be two seconds old when the leader dies.
    assert!(killed.elapsed() + Duration::from_secs(3) >= LEASE, "{:?}", killed.elapsed());
    sleep(Duration::from_secs(3)).await;
    assert!(second.leads() != third.leads());
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn the_clock_of_who_holds_the_lease_does_not_matter() {
    let client = client().await;
    let mut tests = JoinSet::new();
    for renewed in ["2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"] {
        let (client, lease) = (client.clone(), lease());
        tests.spawn(async move {
            let renewed = MicroTime(renewed.parse::<Timestamp>().unwrap());
            let held = LeaseSpec {
                holder_identity: Some("elsewhere".into()),
                lease_duration_seconds: Some(12),
                renew_time: Some(renewed),
                lease_transitions: Some(6),
                ..LeaseSpec::default()
            };
            let metadata = ObjectMeta { name: Some(lease.clone()), ..ObjectMeta::default() };
            let held = Lease { metadata, spec: Some(held) };
            leases(&client).create(&PostParams::default(), &held).await.unwrap();
            let mut candidate = Candidate::stand(client.clone(), &lease, "here");
            // Renewed once, with a clock that stands still.
            sleep(Duration::from_secs(7)).await;
            let renewal = serde_json::json!({ "spec": { "leaseTransitions": 7 } });
            leases(&client).patch(&lease, &PatchParams::default(), &Patch::Merge(renewal)).await.unwrap();
            let begun = Instant::now();
            candidate.leads_within(HANDOVER).await;
            assert!(begun.elapsed() >= LEASE, "{:?}", begun.elapsed());
            assert_eq!(spec(&client, &lease).await.lease_transitions, Some(8));
        });
    }
    tests.join_all().await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_leader_that_cannot_renew_stops_before_another_one_begins() {
    let (client, lease) = (client().await, lease());
    let cable = Cable::lay().await;
    let mut cut_off = Candidate::stand(cable.client().await, &lease, "cut-off");
    cut_off.leads_within(Duration::from_secs(5)).await;
    let mut second = Candidate::stand(client.clone(), &lease, "second");
    sleep(Duration::from_secs(3)).await;
    assert!(cut_off.leads() && !second.leads());

    cable.passes.send_replace(false);
    cut_off.stops_within(Duration::from_secs(9)).await;
    assert!(!second.leads(), "both led");
    second.leads_within(HANDOVER).await;
    cable.passes.send_replace(true);
    sleep(Duration::from_secs(8)).await;
    assert!(second.leads() && !cut_off.leads());
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_leader_that_was_cut_off_alone_leads_again() {
    let lease = lease();
    let cable = Cable::lay().await;
    let mut only = Candidate::stand(cable.client().await, &lease, "only");
    only.leads_within(Duration::from_secs(5)).await;
    // Shorter than the deadline: nothing is to be seen of it.
    cable.passes.send_replace(false);
    sleep(Duration::from_secs(3)).await;
    cable.passes.send_replace(true);
    assert!(timeout(Duration::from_secs(9), only.leading.changed()).await.is_err(), "it stopped");
    cable.passes.send_replace(false);
    only.stops_within(Duration::from_secs(9)).await;
    cable.passes.send_replace(true);
    only.leads_within(Duration::from_secs(9)).await;
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server; make test-cluster"]
async fn a_lease_that_is_touched_or_deleted_has_one_holder() {
    let (client, lease) = (client().await, lease());
    let mut candidates = ["first", "second", "third"].map(|name| Candidate::stand(client.clone(), &lease, name));
    sleep(Duration::from_secs(3)).await;
    let leaders = |candidates: &[Candidate; 3]| candidates.iter().filter(|candidate| candidate.leads()).count();
    for touch in 0..20 {
        let label = serde_json::json!({ "metadata": { "labels": { "touched": touch.to_string() } } });
        leases(&client).patch(&lease, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(leaders(&candidates), 1);
    }
    assert_eq!(spec(&client, &lease).await.lease_transitions, Some(0));
    leases(&client).delete(&lease, &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(leaders(&candidates), 1);
    for candidate in &mut candidates {
        candidate.shutdown.cancel();
        (&mut candidate.task).await.unwrap();
    }
    assert_eq!(spec(&client, &lease).await.holder_identity, None);
}

/// A way to the API server that can be cut: then nothing passes, and nobody is told.
struct Cable {
    port: u16,
    passes: watch::Sender<bool>,
}

impl Cable {
    async fn lay() -> Self {
        let url = Config::infer().await.unwrap().cluster_url;
        let far_end = format!("{}:{}", url.host().unwrap(), url.port_u16().unwrap_or(443));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let passes = watch::Sender::new(true);
        let cut = passes.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (far_end, mut cut) = (far_end.clone(), cut.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(far_end).await.unwrap();
                    let stopped = async { drop(cut.wait_for(|passes| !*passes).await) };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = stopped => {}
                    }
                    // Held open, as a peer that has lost its network leaves it.
                    let _ = cut.wait_for(|passes| *passes).await;
                });
            }
        });
        Self { port, passes }
    }

    async fn client(&self) -> Client {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = Config::infer().await.unwrap();
        let host = config.cluster_url.host().unwrap().to_owned();
        config.tls_server_name = Some(host);
        config.cluster_url = format!("https://127.0.0.1:{}", self.port).parse().unwrap();
        Client::try_from(config).unwrap()
    }
}

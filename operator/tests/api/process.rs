//! The operator as a process, with the rights of its chart.

use std::{
    fs,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use super::world::World;

/// How soon what was changed by hand is as it should be.
pub(crate) const REPAIRED_WITHIN: Duration = Duration::from_secs(10);

/// The program, for one namespace, on a Lease in it; killed when it goes.
pub(crate) struct Operator {
    program: Command,
    process: Child,
    logs: NamedTempFile,
}

impl Operator {
    pub(crate) fn start(world: &World) -> Self {
        Self::with(world, &[])
    }

    /// With further variables.
    pub(crate) fn with(world: &World, variables: &[(&str, &str)]) -> Self {
        let logs = NamedTempFile::new().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_imagesearch-operator"));
        program
            .args(["--watch-namespace", &world.namespace])
            .env("KUBECONFIG", &world.account)
            .env("POD_NAMESPACE", &world.namespace)
            .env("IMAGESEARCH_OPERATOR_ADMIN", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdout(logs.reopen().unwrap());
        let process = program.spawn().unwrap();
        Self { program, process, logs }
    }

    /// With what it ended by itself, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// What a kubelet does: who could not renew its Lease ends, and is started again.
    pub(crate) fn keep_alive(&mut self) {
        if self.ended().is_some() {
            self.start_again();
        }
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = self.program.spawn().unwrap();
    }

    /// Killed and started again without a wait for the Lease that it held.
    pub(crate) async fn live_again(&mut self, world: &World) {
        self.kill();
        world.free_lease().await;
        self.start_again();
    }

    /// Everything that it has said in all its lives.
    pub(crate) fn logs(&self) -> String {
        fs::read_to_string(self.logs.path()).unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
    }
}

/// Looks again and again until something is there.
pub(crate) async fn until<T>(deadline: Duration, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < deadline, "{what}: not within {} s", deadline.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

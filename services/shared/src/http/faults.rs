//! What went wrong inside while a request was answered: kept until its one log line is written, so that there is one.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::Level;

/// A list of a thousand items may fail a thousand times; the first few say why.
const TOLD: usize = 8;

tokio::task_local! {
    static CURRENT: Faults;
}

/// The faults of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    told: Vec<String>,
    more: usize,
    is_ours: bool,
}

impl Faults {
    /// Runs `future` so that what goes wrong in it is kept here.
    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), future).await
    }

    /// What went wrong, with all causes, and whether it is a fault of ours; `None` when all went well.
    pub(crate) fn told(&self) -> Option<(Level, String)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let level = if kept.is_ours { Level::ERROR } else { Level::WARN };
        let more = (kept.more > 0).then(|| format!("and {} more", kept.more));
        let told: Vec<_> = kept.told.iter().cloned().chain(more).collect();
        (!told.is_empty()).then(|| (level, told.join("; ")))
    }

    fn add(&self, level: Level, fault: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.is_ours |= level == Level::ERROR;
        if kept.told.len() < TOLD {
            kept.told.push(fault);
        } else {
            kept.more += 1;
        }
    }
}

/// A fault of ours.
pub(crate) fn ours(fault: String) {
    if let Err(fault) = keep(Level::ERROR, fault) {
        tracing::error!(error = fault, "request failed");
    }
}

/// A store that is away.
pub(crate) fn of_store(store: &str, fault: String) {
    if let Err(fault) = keep(Level::WARN, fault) {
        tracing::warn!(store, error = fault, "store unavailable");
    }
}

/// Gives the fault back where no request is answered, as in a task that was started for one.
fn keep(level: Level, fault: String) -> Result<(), String> {
    match CURRENT.try_with(Faults::clone) {
        Ok(faults) => {
            faults.add(level, fault);
            Ok(())
        }
        Err(_) => Err(fault),
    }
}

/// A fault with its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(fault) = cause {
            write!(formatter, ": {fault}")?;
            cause = fault.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_faults_are_told_and_the_others_counted() {
        let faults = Faults::default();
        faults
            .scope(async {
                for number in 0..20 {
                    of_store("queue", format!("fault {number}"));
                }
            })
            .await;
        let (level, told) = faults.told().expect("faults");
        assert_eq!(level, Level::WARN);
        assert!(told.starts_with("fault 0; fault 1;") && told.ends_with("fault 7; and 12 more"), "{told}");
        faults.scope(async { ours("broken: by this".to_owned()) }).await;
        assert_eq!(faults.told().map(|(level, _)| level), Some(Level::ERROR));
    }
}

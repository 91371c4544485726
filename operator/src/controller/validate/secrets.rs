//! Secrets: those that the spec names, with what must be in them, and those that the operator makes.

use kube::ResourceExt;

use super::{Fault, Reader};
use crate::{
    controller::{
        credentials::{self, Entries},
        error::ReconcileError,
        names,
        stack::{SecretSource, Tls},
    },
    crd,
};

impl Reader<'_> {
    pub(super) fn tls(&mut self, field: &str, tls: Option<&crd::Tls>) -> Tls {
        let Some(tls) = tls else { return Tls::default() };
        Tls {
            ca: self.secret(&format!("{field}.caSecretRef"), tls.ca_secret_ref.as_ref(), &[&["ca.crt"]]),
            certificate: self.secret(
                &format!("{field}.certificateSecretRef"),
                tls.certificate_secret_ref.as_ref(),
                &[&["tls.crt", "tls.key"]],
            ),
        }
    }

    /// A Secret that the spec names, with one of these sets of entries.
    pub(super) fn secret(
        &mut self,
        field: &str,
        reference: Option<&crd::SecretRef>,
        sets: &[&[&str]],
    ) -> Option<SecretSource> {
        let name = &reference?.name;
        let Some(secret) = self.observed.secrets.get(name) else {
            self.faults.push(Fault {
                field: field.to_owned(),
                message: format!("the Secret {name:?} is not there"),
                waiting: true,
            });
            return None;
        };
        let found = credentials::clear(secret);
        let Some(set) = sets.iter().find(|set| set.iter().all(|entry| found.contains_key(*entry))) else {
            let wanted: Vec<String> = sets.iter().map(|set| set.join(" and ")).collect();
            let message = format!("the Secret {name:?} needs {}", wanted.join(", or "));
            self.faults.push(Fault { field: field.to_owned(), message, waiting: true });
            return None;
        };
        let entries = set.iter().map(|entry| ((*entry).to_owned(), found[*entry].clone()));
        Some(SecretSource { name: name.clone(), entries: Entries(entries.collect()) })
    }

    /// A Secret that the operator makes.
    pub(super) fn generated(
        &self,
        suffix: &str,
        entries: &[credentials::Entry],
    ) -> Result<SecretSource, ReconcileError> {
        let name = names::child(&self.resource.name_any(), suffix);
        let entries = credentials::keep_or_make(self.observed.secrets.get(&name), self.rotation(), entries)?;
        Ok(SecretSource { name, entries })
    }
}

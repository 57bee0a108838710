//! Backups of a running node.

use std::io::Write;

use icomm_pki::BackupRecipient;

use super::Node;
use crate::backup::{BackupError, Source, Taken};

impl Node {
    /// Writes a backup of the node as it is now, while it goes on; `begun` hears how many bytes of files it will have.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// What was written is no backup and must not be kept.
    pub fn take_backup(
        &self,
        recipients: &[BackupRecipient],
        with_identity: bool,
        out: impl Write,
        begun: impl FnOnce(u64),
    ) -> Result<Taken, BackupError> {
        let (inner, credentials) = (&self.0, self.credentials());
        let source = Source {
            config: &inner.config,
            journal: &inner.journal,
            credentials: &credentials,
            origin: self.own_origin().clone(),
            environment: &inner.environment,
        };
        let taken = source.write(recipients, with_identity, out, begun)?;
        tracing::info!(
            backup = taken.manifest.id,
            bytes = taken.bytes,
            with_identity,
            "backup taken"
        );
        Ok(taken)
    }
}

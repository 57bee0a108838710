//! One node of the network: its folder, its process, and the calls that the network makes of its API.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use icomm_proto::v1;
use tokio::time::Instant;

use super::{
    NetworkError, POLL, STOP_WITHIN,
    home::{self, Ports},
    plan::Member,
    process::Process,
};
use crate::{
    api::client::{Address, Client, connect},
    config::Config,
    node::mark::Mark,
};

/// How many entries are listed with one call, the most that the API gives.
const PAGE_ENTRIES: u32 = 1000;

/// A member's node.
#[derive(Debug)]
pub struct Node {
    member: Member,
    program: PathBuf,
    config: Config,
    ports: Ports,
    process: Option<Process>,
}

impl Node {
    pub(super) fn new(member: Member, program: PathBuf, config: Config, ports: Ports) -> Self {
        Self {
            member,
            program,
            config,
            ports,
            process: None,
        }
    }

    /// Whose node it is.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Its folder.
    pub fn home(&self) -> &Path {
        &self.config.home
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The id of its process, while one was started and not stopped.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts its process, which is not there yet.
    ///
    /// # Errors
    /// The program can't be started.
    pub fn start(&mut self) -> Result<(), NetworkError> {
        self.ports.release();
        let started = Process::start(&self.program, &self.config.home);
        self.process = Some(started.map_err(|source| self.broken(source))?);
        Ok(())
    }

    /// Waits until the node serves.
    ///
    /// # Errors
    /// Its process ends, or it does not serve within that time.
    pub async fn ready(&mut self, within: Duration) -> Result<(), NetworkError> {
        let deadline = Instant::now() + within;
        loop {
            self.alive()?;
            let why = match self.status().await {
                Ok(status) if status.serving => return Ok(()),
                Ok(status) => status.reasons.join("; "),
                Err(error) => crate::causes::chain(&error),
            };
            if Instant::now() >= deadline {
                let member = self.member.id.clone();
                return Err(NetworkError::NotReady { member, why });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// That its process runs.
    ///
    /// # Errors
    /// It has ended: with its status and the end of its log.
    pub fn alive(&mut self) -> Result<(), NetworkError> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        match process.ended() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(NetworkError::Ended {
                member: self.member.id.clone(),
                status,
                last_words: process.last_words(),
            }),
            Err(source) => Err(self.broken(source)),
        }
    }

    /// Kills its process on the spot, as a power cut would.
    ///
    /// # Errors
    /// The process can't be waited for.
    pub fn kill(&mut self) -> Result<(), NetworkError> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop).map_err(|source| self.broken(source)),
            None => Ok(()),
        }
    }

    /// Kills its process and starts it again, as after a power cut; returns when it serves.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn crash(&mut self, ready_within: Duration) -> Result<(), NetworkError> {
        self.kill()?;
        self.start()?;
        self.ready(ready_within).await
    }

    /// Asks its process to stop and waits until it has.
    ///
    /// # Errors
    /// The process can't be waited for.
    pub async fn stop(&mut self, within: Duration) -> Result<(), NetworkError> {
        match self.process.take() {
            Some(mut process) => process
                .stop(within)
                .await
                .map(drop)
                .map_err(|source| self.broken(source)),
            None => Ok(()),
        }
    }

    /// Stops its process and removes all that it stored and the mark of what it signed, as if it had never run; its keys and
    /// settings stay. Whoever holds something of its log must forget too: otherwise it is a node that was put back.
    ///
    /// # Errors
    /// The process can't be waited for, or a file can't be removed.
    pub async fn empty(&mut self, within: Duration) -> Result<(), NetworkError> {
        self.stop(within).await?;
        let store = &self.config.store;
        let mark = Mark::path(&store.key);
        for (path, removed) in [
            (&store.folder, fs::remove_dir_all(&store.folder)),
            (&mark, fs::remove_file(&mark)),
        ] {
            removed
                .or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .map_err(|source| NetworkError::Folder {
                    path: path.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Asks its process to stop and does not wait.
    pub(super) fn begin_stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.begin_stop();
        }
    }

    /// Stops the node, changes the text of its settings and starts it again.
    ///
    /// # Errors
    /// The settings are wrong now, or the node does not come back.
    pub async fn reconfigure(
        &mut self,
        change: impl FnOnce(String) -> String,
        ready_within: Duration,
    ) -> Result<(), NetworkError> {
        self.stop(STOP_WITHIN).await?;
        self.config = home::change_settings(&self.config.home, change)?;
        self.start()?;
        self.ready(ready_within).await
    }

    /// A client of its API.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn client(&self) -> Result<Client, NetworkError> {
        let address = Address::Socket(self.config.api.socket.clone());
        connect(&address, &self.config)
            .await
            .map_err(|source| NetworkError::Connect {
                member: self.member.id.clone(),
                source,
            })
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&self) -> Result<v1::StatusReply, NetworkError> {
        let answer = self.client().await?.status(v1::StatusRequest {}).await;
        self.answered("Status", answer)
    }

    /// Has it read and verify all that it holds of a log.
    ///
    /// # Errors
    /// It does not hold the log, or its store is damaged.
    pub async fn verify_log(&self, origin: &str) -> Result<v1::LogStatus, NetworkError> {
        let origin = origin.to_owned();
        let answer = self.client().await?.verify_log(v1::VerifyLogRequest { origin }).await;
        self.answered("VerifyLog", answer)
    }

    /// Every entry that it holds of a log from `from` on; of its own log where `origin` is empty.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn entries(&self, origin: &str, from: u64) -> Result<Vec<v1::Entry>, NetworkError> {
        let (mut entries, mut from) = (Vec::new(), from);
        loop {
            let page = self.page(origin, from, PAGE_ENTRIES).await?;
            let last = page.end || page.next <= from;
            from = page.next;
            entries.extend(page.entries);
            if last {
                return Ok(entries);
            }
        }
    }

    /// A page of the entries that it holds of a log.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn page(&self, origin: &str, from: u64, limit: u32) -> Result<v1::ListReply, NetworkError> {
        let request = v1::ListRequest {
            origin: origin.to_owned(),
            from,
            limit,
            with_views: false,
        };
        let answer = self.client().await?.list(request).await;
        self.answered("List", answer)
    }

    /// What it holds of a record, of each log that has it.
    ///
    /// # Errors
    /// It knows no such record, or does not answer.
    pub async fn record(&self, record_id: &str) -> Result<Vec<v1::Entry>, NetworkError> {
        let record_id = record_id.to_owned();
        let answer = self
            .client()
            .await?
            .get(v1::GetRequest {
                record_id,
                history: true,
            })
            .await;
        Ok(self.answered("Get", answer)?.entries)
    }

    /// What a peer would get of a record from here.
    ///
    /// # Errors
    /// It knows no such record, or does not answer.
    pub async fn explain(&self, record_id: &str, peer: &str) -> Result<v1::ExplainReply, NetworkError> {
        let request = v1::ExplainRequest {
            record_id: record_id.to_owned(),
            peer: peer.to_owned(),
        };
        let answer = self.client().await?.explain(request).await;
        self.answered("Explain", answer)
    }

    /// Adds its member's signature to an agreement.
    ///
    /// # Errors
    /// It refuses.
    pub async fn sign_agreement(&self, document: Bytes) -> Result<Bytes, NetworkError> {
        let request = v1::SignAgreementRequest { document };
        let answer = self.client().await?.sign_agreement(request).await;
        Ok(self.answered("SignAgreement", answer)?.document)
    }

    /// Hands it an agreement that every party has signed.
    ///
    /// # Errors
    /// It refuses.
    pub async fn accept_agreement(&self, document: Bytes) -> Result<v1::Agreement, NetworkError> {
        let request = v1::AcceptAgreementRequest { document };
        let answer = self.client().await?.accept_agreement(request).await;
        self.answered("AcceptAgreement", answer)
    }

    /// Has it suspend an agreement.
    ///
    /// # Errors
    /// It refuses.
    pub async fn suspend_agreement(&self, id: &str, reason: &str) -> Result<v1::Agreement, NetworkError> {
        let request = v1::SuspendAgreementRequest {
            id: id.to_owned(),
            reason: reason.to_owned(),
        };
        let answer = self.client().await?.suspend_agreement(request).await;
        self.answered("SuspendAgreement", answer)
    }

    /// Hands it a trust bundle.
    ///
    /// # Errors
    /// It refuses.
    pub async fn update_bundle(&self, bundle: Bytes) -> Result<(), NetworkError> {
        let answer = self
            .client()
            .await?
            .update_bundle(v1::UpdateBundleRequest { bundle })
            .await;
        self.answered("UpdateBundle", answer).map(drop)
    }

    fn answered<T>(
        &self,
        call: &'static str,
        answer: Result<tonic::Response<T>, tonic::Status>,
    ) -> Result<T, NetworkError> {
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| NetworkError::Call {
                member: self.member.id.clone(),
                call,
                status: Box::new(status),
            })
    }

    fn broken(&self, source: io::Error) -> NetworkError {
        NetworkError::Process {
            member: self.member.id.clone(),
            program: self.program.clone(),
            source,
        }
    }
}

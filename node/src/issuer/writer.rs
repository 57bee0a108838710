//! Issuing itself: commits are made of what was gathered and handed to the store, by the issuing thread or by a caller
//! that has little and waits for nobody.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::queue::{Queue, Request};
use super::{IssueError, Placed};
use crate::core::exchange::Exchange;
use crate::core::own::{OwnLog, Sealed};
use crate::core::recall::{Appended, Order, Reason};
use crate::core::seat::Seat;
use crate::store::{Batch, Boundary, IntakeKey, Place, Placement, Store, StoreError};

pub(super) struct Writer {
    pub(super) log: OwnLog,
    pub(super) key: Seat,
    pub(super) store: Arc<dyn Store>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) queue: Arc<Queue>,
}

/// What a commit makes of its requests: the new records, and an answer for each of all.
#[derive(Default)]
struct Plan {
    fresh: Vec<Sealed>,
    keys: Vec<IntakeKey>,
    placed: Vec<Vec<Placed>>,
}

/// The issuing thread. A caller that panicked left the log as it is: the chunk and the log's state change together.
pub(super) fn run(writer: &Mutex<Writer>, queue: &Queue) {
    while queue.wait() {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = queue.gather() {
            writer.issue(requests);
        }
    }
}

impl Writer {
    /// Issues what waits if that takes a moment.
    pub(super) fn issue_little(&mut self) {
        if let Some(requests) = self.queue.gather_little() {
            self.issue(requests);
        }
    }

    fn issue(&mut self, mut requests: Vec<Request>) {
        if self.queue.is_under_way(&requests) {
            self.queue.wait_until_idle();
        }
        let planned = self.mend().map_err(IssueError::from).and_then(|()| {
            self.exchange.may_append()?;
            let plan = self.plan(&mut requests)?;
            let commit = match requests.iter().find_map(|request| request.voids) {
                None => self.commit(&plan.fresh)?,
                Some(reason) => self.commit_voiding(&plan.fresh, reason)?,
            };
            Ok((plan, commit))
        });
        let (plan, commit) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                // What was appended in memory only must not be signed over.
                self.queue.fail();
                tracing::error!(%error, "a commit failed");
                return refuse(requests, &error);
            }
        };
        let Some((batch, end)) = commit else {
            return answer(requests, plan.placed);
        };
        let Plan { keys, placed, .. } = plan;
        let voids = requests.iter().any(|request| request.voids.is_some());
        self.queue.begin(&keys);
        let (queue, exchange, origin) = (self.queue.clone(), self.exchange.clone(), self.log.origin().clone());
        let done = move |result: Result<(), StoreError>| {
            queue.end(&keys, result.is_err());
            if voids {
                exchange.voided(&origin);
            }
            match result {
                // INVARIANT: nothing fails from here on. The records are durable, and a caller told otherwise issues them
                // again.
                Ok(()) => {
                    exchange.grew(&origin, &end);
                    answer(requests, placed);
                }
                Err(error) => {
                    tracing::error!(%error, "a commit failed");
                    refuse(requests, &error.into());
                }
            }
        };
        self.store.submit(batch, Box::new(done));
    }

    /// After a commit that failed: goes back to what the store holds. What went to the disk after the failed commit does
    /// not continue the log, and fails as well.
    fn mend(&mut self) -> Result<(), StoreError> {
        if self.exchange.take_recovered() {
            self.queue.fail();
        }
        if self.queue.has_failed() {
            self.queue.wait_until_idle();
            self.log.resume(self.store.head(self.log.origin())?);
            self.queue.mended();
        }
        Ok(())
    }

    /// Takes the records out of their requests.
    fn plan(&self, requests: &mut [Request]) -> Result<Plan, IssueError> {
        let mut next = self.log.size();
        let records = requests.iter().map(|request| request.records.len()).sum();
        let mut plan = Plan {
            fresh: Vec::with_capacity(records),
            ..Plan::default()
        };
        let mut keys: FxHashMap<IntakeKey, u64> = FxHashMap::with_capacity_and_hasher(records, FxBuildHasher);
        let place = |index| Place {
            origin: self.log.origin().clone(),
            index,
        };
        for request in requests {
            let mut placed = Vec::with_capacity(request.records.len());
            for record in std::mem::take(&mut request.records) {
                placed.push(match record.key {
                    Some(key) if let Some(&index) = keys.get(&key) => Placed::Duplicate(place(index)),
                    Some(key) if let Some(place) = self.store.issued(&key)? => Placed::Duplicate(place),
                    Some(key) if let Some(index) = self.exchange.issued_before(&key, &record.view)? => {
                        Placed::Duplicate(place(index))
                    }
                    key => {
                        if let Some(key) = key {
                            keys.insert(key, next);
                        }
                        plan.fresh.push(record);
                        next += 1;
                        Placed::Issued(place(next - 1))
                    }
                });
            }
            plan.placed.push(placed);
        }
        plan.keys = keys.into_keys().collect();
        Ok(plan)
    }

    /// A correction or a recall: with its entry, in one batch, goes the order for all holders and the end of what it voids
    /// here.
    fn commit_voiding(&mut self, fresh: &[Sealed], reason: Reason) -> Result<Option<(Batch, Boundary)>, IssueError> {
        let before = self.log.frontier().clone();
        let (Some((commit, end)), [Sealed { view, .. }]) = (self.commit(fresh)?, fresh) else {
            return Ok(None);
        };
        let appended = Appended {
            origin: self.log.origin(),
            view,
            before: &before,
            checkpoint: end.checkpoint.clone(),
        };
        let order = Order::issue(&appended, reason, self.exchange.now(), &self.key.key())?;
        let mut batch = self.exchange.voiding(self.log.origin(), view, order)?;
        commit.into_items().into_iter().for_each(|item| batch.push(item));
        Ok(Some((batch, end)))
    }

    /// Usually one chunk; more where the records are large. They share a batch, so all are durable or none is.
    fn commit(&mut self, mut fresh: &[Sealed]) -> Result<Option<(Batch, Boundary)>, IssueError> {
        let mut batch = Batch::new();
        let mut end = None;
        while !fresh.is_empty() {
            let (commit, rest) = fresh.split_at(OwnLog::fits(fresh).max(1));
            let chunk = self.log.append(commit, &self.key.key())?;
            if let Placement::Extends { frontier, checkpoint } = &chunk.placement {
                end = Some(Boundary {
                    frontier: frontier.clone(),
                    checkpoint: checkpoint.clone(),
                });
            }
            batch = batch.chunk(chunk);
            fresh = rest;
        }
        Ok(end.map(|end| (batch, end)))
    }
}

fn answer(requests: Vec<Request>, placed: Vec<Vec<Placed>>) {
    for (request, placed) in requests.into_iter().zip(placed) {
        // A caller that went away finds its records by their keys.
        let _ = request.reply.send(Ok(placed));
    }
}

fn refuse(requests: Vec<Request>, error: &IssueError) {
    for request in requests {
        let _ = request.reply.send(Err(error.clone()));
    }
}

//! Whether a node can do its duty, and what to do where it can't.

use std::collections::BTreeSet;

use icomm_pki::MemberId;
use icomm_policy::Standing;
use icomm_proto::Origin;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::{Forked, LinkStatus, Node};
use crate::causes::chain;
use crate::core::exchange::{Cosignature, Witnessed};
use crate::core::recall::HeldBack;
use crate::core::refused::RefusedDocument;
use crate::link::DialState;

/// Before this much is left of a certificate or the bundle, nothing is said.
const EXPIRY_NOTICE: Duration = Duration::days(14);
/// A clock this far from the bundle's time of issue, backwards, is wrong.
const CLOCK_SLACK: Duration = Duration::minutes(5);

/// Whether a node serves, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// It does.
    pub serving: bool,
    /// Why it doesn't.
    pub reasons: Vec<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// Something will need doing.
    Warning,
    /// Something does not work.
    Error,
}

impl Level {
    /// As text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One self-check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub finding: String,
    /// What to do; empty when there is nothing.
    pub advice: String,
}

/// What a node is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The member.
    pub member: String,
    /// The node.
    pub node: String,
    /// Its role.
    pub role: String,
    /// The program's version.
    pub version: String,
    /// Whether it serves.
    pub health: Health,
    /// The trust bundle's version.
    pub bundle_version: u64,
    /// When the bundle expires.
    #[serde(with = "time::serde::rfc3339")]
    pub bundle_expires: OffsetDateTime,
    /// When the first of the node's certificates expires.
    #[serde(with = "time::serde::rfc3339")]
    pub certificate_expires: OffsetDateTime,
}

impl Node {
    /// Whether the node serves: its store works, its key signs, its disclosure log, its bundle and its certificates hold.
    pub fn health(&self) -> Health {
        let now = self.0.environment.clock.now();
        let mut reasons = Vec::new();
        let store = self.0.store.health();
        if !store.is_good() {
            reasons.push(match store.failed {
                Some(failed) => format!("the store failed: {failed}"),
                None if store.full => "the disk is full".to_owned(),
                None => format!("the store has {} damaged places", store.damaged.len()),
            });
        }
        reasons.extend(self.own_log_fault());
        if let Some(fault) = self.0.exchange.ledger().fault() {
            reasons.push(chain(&fault));
        }
        if let Some(fault) = self.key_fault() {
            reasons.push(chain(&fault));
        }
        if !self.0.exchange.law().bundle().is_live(now) {
            reasons.push("the trust bundle has expired".to_owned());
        }
        if self.0.exchange.is_forked(self.own_origin()) {
            reasons.push(format!(
                "nobody takes `{}` any more: two histories of it were signed",
                self.own_origin()
            ));
        }
        if self.certificate_expires() <= now {
            reasons.push("the node's certificate has expired".to_owned());
        }
        Health {
            serving: reasons.is_empty(),
            reasons,
        }
    }

    /// What the node is.
    pub fn status(&self) -> Status {
        let credentials = self.credentials();
        let bundle = self.0.exchange.law().bundle();
        Status {
            member: credentials.member().to_string(),
            node: credentials.node_name().to_string(),
            role: credentials.role().as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            health: self.health(),
            bundle_version: bundle.version(),
            bundle_expires: bundle.expires(),
            certificate_expires: self.certificate_expires(),
        }
    }

    /// Looks at keys, clock, bundle, store, disclosure log and every link.
    pub async fn checks(&self) -> Vec<Check> {
        let now = self.0.environment.clock.now();
        self.test_key().await;
        let mut checks = vec![self.key_check()];
        checks.extend(self.certificates(now));
        checks.extend(self.succession_checks());
        checks.push(self.clock(now));
        checks.push(self.bundle_check(now));
        checks.push(self.store_check());
        checks.push(self.own_log_check());
        checks.extend(self.ledger_checks());
        checks.extend(self.witnesses_check());
        checks.extend(self.forks().iter().map(|fork| fork_check(fork, self.own_origin())));
        checks.push(self.agreements_check());
        checks.extend(self.return_check());
        checks.extend(self.retention_checks());
        checks.extend(self.calls_check());
        checks.extend(self.links().await.iter().map(link_check));
        checks
    }

    fn certificate_expires(&self) -> OffsetDateTime {
        let expiries = self.credentials().expiries();
        expiries
            .iter()
            .map(|expiry| expiry.at)
            .min()
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    fn certificates(&self, now: OffsetDateTime) -> Vec<Check> {
        let expiries = self.credentials().expiries();
        let advice = "send `identity/request.pem` to the authority again, and `icomm pki install` its answer";
        expiries
            .iter()
            .map(|expiry| expiring(&expiry.what.to_string(), expiry.at, now, advice))
            .collect()
    }

    fn clock(&self, now: OffsetDateTime) -> Check {
        let issued = self.0.exchange.law().bundle().issued();
        if now + CLOCK_SLACK < issued {
            let finding = format!("it is {} here, but the trust bundle was issued at {issued}", day(now));
            return check(
                "clock",
                Level::Error,
                &finding,
                "set the clock; certificates are judged by it",
            );
        }
        check(
            "clock",
            Level::Ok,
            &format!("{}, after the bundle's issue", day(now)),
            "",
        )
    }

    fn bundle_check(&self, now: OffsetDateTime) -> Check {
        let bundle = self.0.exchange.law().bundle();
        let advice = "get a newer one from the authority: `icomm pki update FILE`, or link to a hub that has it";
        let mut found = expiring("trust bundle", bundle.expires(), now, advice);
        found.finding = format!(
            "version {}, {} members; {}",
            bundle.version(),
            bundle.members().len(),
            found.finding
        );
        found
    }

    /// Whether witnesses have seen all of the own log.
    fn witnesses_check(&self) -> Option<Check> {
        let origin = self.own_origin();
        let entries = self.0.exchange.head(origin)?.size;
        let Witnessed {
            quorum,
            settled,
            cosignatures,
            note: _,
        } = self.0.exchange.witnessed(origin);
        let mut seen: Vec<String> = cosignatures
            .iter()
            .map(|Cosignature { witness, size, .. }| format!("{witness} has seen {size}"))
            .collect();
        if seen.is_empty() {
            seen.push("nobody has seen any".to_owned());
        }
        let seen = seen.join(", ");
        let finding = format!("{settled} of {entries} entries of `{origin}` are settled, by {quorum}: {seen}");
        Some(match settled >= entries {
            true => check("witnesses", Level::Ok, &finding, ""),
            false => check(
                "witnesses",
                Level::Warning,
                &finding,
                "are the witnesses that are behind linked, and may they have the log?",
            ),
        })
    }

    fn agreements_check(&self) -> Check {
        let in_force = self.agreements().into_iter();
        let in_force = in_force.filter(|status| matches!(status.standing, Standing::InForce { .. }));
        let count = in_force.count();
        let refused = match self.refused_documents() {
            Ok(refused) => refused,
            Err(error) => return check("agreements", Level::Error, &error.to_string(), "look at the store"),
        };
        let Some(last) = refused.first() else {
            return check("agreements", Level::Ok, &format!("{count} in force"), "");
        };
        let RefusedDocument {
            peer,
            by_peer,
            kind,
            agreement,
            code,
            ..
        } = last;
        let what = agreement.as_deref().map_or_else(String::new, |id| format!(" `{id}`"));
        let finding = match by_peer {
            true => format!(
                "{count} in force; {} refused, the last by `{peer}`: {kind}{what}, {code}",
                refused.len()
            ),
            false => format!(
                "{count} in force; {} refused, the last of `{peer}`: {kind}{what}, {code}",
                refused.len()
            ),
        };
        let advice = "`icomm agreement list` shows them; sign one text with the partner under a higher version";
        check("agreements", Level::Warning, &finding, advice)
    }

    /// Partners that have not given up what narrower terms called back.
    fn calls_check(&self) -> Option<Check> {
        let owed = self.0.exchange.owed_calls();
        let partners: Vec<String> = owed.keys().map(|member| format!("`{member}`")).collect();
        let finding = format!("not answered by {}", partners.join(", "));
        let advice = "each is asked again whenever it is linked; `icomm audit who RECORD` tells since when";
        (!partners.is_empty()).then(|| check("called back", Level::Warning, &finding, advice))
    }

    /// Whether everybody was heard since this node was away; nothing to say if it was not.
    fn return_check(&self) -> Option<Check> {
        let HeldBack {
            away_since,
            until,
            unheard,
            given_up,
        } = self.0.exchange.held_back()?;
        let names = |members: &BTreeSet<MemberId>| {
            let names: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
            names.join(", ")
        };
        let moment = |seconds| OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok();
        let name = "recalls";
        if unheard.is_empty() {
            let finding = format!(
                "what came from {} is passed on, though nobody there was heard since this node was away",
                names(&given_up)
            );
            let advice = "link to them; what they recalled meanwhile is not known here";
            return Some(check(name, Level::Warning, &finding, advice));
        }
        let logs: Vec<String> = unheard
            .iter()
            .map(|(origin, members)| format!("`{origin}` until {} was heard", names(members)))
            .collect();
        let since = match away_since {
            0 => "for an unknown time".to_owned(),
            since => format!(
                "since {}",
                moment(since).map_or_else(String::new, |since| since.to_string())
            ),
        };
        let finding = format!("away {since}; not passed on: {}", logs.join("; "));
        let until = moment(until).map_or_else(String::new, |until| until.to_string());
        let advice =
            format!("link to them, they may have recalled some of it; at {until} it is passed on all the same");
        Some(check(name, Level::Warning, &finding, &advice))
    }

    fn store_check(&self) -> Check {
        let health = self.0.store.health();
        if let Some(failed) = &health.failed {
            return check("store", Level::Error, failed, "mend the disk, then restart the node");
        }
        if health.full {
            return check(
                "store",
                Level::Error,
                "the disk is full; nothing new is taken",
                "free some space",
            );
        }
        if let Some(damage) = health.damaged.first() {
            let finding = format!("{} damaged places; the first: {damage}", health.damaged.len());
            return check("store", Level::Error, &finding, "restore the segment from a copy");
        }
        let mended = if health.mended.is_empty() {
            String::new()
        } else {
            format!("; at opening: {}", health.mended.join(", "))
        };
        check("store", Level::Ok, &format!("{} bytes{mended}", health.bytes), "")
    }
}

pub(super) fn check(name: &str, level: Level, finding: &str, advice: &str) -> Check {
    Check {
        name: name.to_owned(),
        level,
        finding: finding.to_owned(),
        advice: advice.to_owned(),
    }
}

/// How long something counts yet.
pub(crate) fn expiring(name: &str, at: OffsetDateTime, now: OffsetDateTime, advice: &str) -> Check {
    if at <= now {
        return check(name, Level::Error, &format!("expired on {}", day(at)), advice);
    }
    let level = if at - now < EXPIRY_NOTICE {
        Level::Warning
    } else {
        Level::Ok
    };
    check(
        name,
        level,
        &format!("holds until {}", day(at)),
        if level == Level::Ok { "" } else { advice },
    )
}

fn day(at: OffsetDateTime) -> String {
    at.date().to_string()
}

fn fork_check(fork: &Forked, own: &Origin) -> Check {
    let origin = &fork.origin;
    let finding = format!("`{origin}` has two histories, both signed with the key of its originator");
    let advice = match origin == own {
        true => {
            "somebody else signs with this member's key, or a second node does: stop them, tell the root, get a new key"
        }
        false => "`icomm audit forks` shows both checkpoints; tell its originator, and the root",
    };
    check(&format!("log {origin}"), Level::Error, &finding, advice)
}

fn link_check(link: &LinkStatus) -> Check {
    let name = format!("link {}", link.member);
    match (&link.session, &link.dialling) {
        (Some(session), _) => {
            let carrier = session.carrier;
            check(
                &name,
                Level::Ok,
                &format!("up over {carrier} with node `{}`", session.node),
                "",
            )
        }
        (None, Some(DialState::Waiting { failures, error, .. })) => {
            let finding = format!("down after {failures} rounds: {error}");
            check(
                &name,
                Level::Error,
                &finding,
                "`icomm link test` tries every address and says what happens",
            )
        }
        (None, _) => check(&name, Level::Warning, "being dialled", ""),
    }
}

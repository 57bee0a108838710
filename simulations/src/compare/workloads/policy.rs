//! What a decision costs, and whether it matters how many agreements are in force.

use std::{
    collections::{HashMap, HashSet},
    hint::black_box,
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use icomm_node::network::terms::{self, Exchange};
use icomm_pki::{MemberId, MemberKey, MemberPublicKey, Role};
use icomm_policy::{
    Book, Change, DocumentKind, KeyDirectory, PeerSession, Policy, Receiver, SessionPolicy, SignedAgreement,
};
use icomm_proto::View;
use tokio::{task::block_in_place, time::Instant};

use crate::compare::{
    icomm::NAME,
    rows,
    scale::Sizes,
    sealed,
    series::{Sample, Spread},
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// Decisions with many agreements in force.
pub const WORKLOAD: Workload = Workload {
    name: "policy",
    what: "an administration decides on its own records towards one of its partners; it has an agreement with each of them",
    unit: "µs per decision",
    better: Better::Lower,
    sizes: Sizes {
        tiny: 100,
        quick: 10_000,
        full: 10_000,
    },
    counts: "agreements in force",
    growth: Growth::Flat,
    field: |bench| Box::pin(async { Ok(Field::default().with(block_in_place(|| Deciding::set_up(bench))?)) }),
};

/// A moment at which all agreements are in force, in seconds since 1970.
const NOW: u64 = 1_795_435_200;
/// The first day on which they are.
const SINCE: &str = "2026-01-01";
/// Records that are decided on, as many as a chunk has.
const RECORDS: u64 = 1024;
/// Decisions from memory in one pass.
const DECISIONS: u64 = 200 * RECORDS;
/// Sessions that are opened in one pass.
const SESSIONS: u64 = 20;
/// Agreements taken in, on top of those in force.
const FURTHER: u64 = 8;
/// A figure is the median of so many passes.
const PASSES: usize = 7;
/// What the workload's own number of agreements is compared with.
const FEWER: [u64; 2] = [1, 100];

struct Deciding {
    /// Shared by all: who is who.
    members: Arc<Members>,
    owner: MemberId,
    /// The partner towards whom decisions are made: the one that every book has.
    partner: Receiver,
    records: Vec<View>,
    /// One record of each class.
    classes: Vec<View>,
    /// By their number of agreements, which rises; the workload's own is the last.
    books: Vec<(u64, Book)>,
    /// Made of the books.
    policies: Vec<Policy>,
    further: Vec<Vec<u8>>,
}

/// The owner and a partner for each agreement.
struct Members(HashMap<MemberId, MemberKey>);

impl KeyDirectory for Members {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.0.get(member).map(MemberKey::public)
    }

    fn role(&self, member: &MemberId) -> Option<Role> {
        self.0.get(member).map(|_| Role::National)
    }

    fn regions(&self, _: &MemberId) -> Vec<MemberId> {
        Vec::new()
    }
}

impl Members {
    fn of(owner: &MemberId, partners: &[MemberId]) -> Self {
        let key = |(number, member): (u64, &MemberId)| {
            let mut seed = [0; 32];
            if let Some(place) = seed.first_chunk_mut() {
                *place = number.to_be_bytes();
            }
            (member.clone(), MemberKey::from_seed(&seed))
        };
        Self((0..).zip(std::iter::once(owner).chain(partners)).map(key).collect())
    }

    /// An agreement between the two, signed by both.
    fn agree(&self, owner: &MemberId, partner: &MemberId) -> anyhow::Result<Vec<u8>> {
        let since = SINCE.parse()?;
        let agreement = terms::bilateral(owner, partner, Exchange::nominal(), Exchange::nominal(), since)?;
        let mut signed = SignedAgreement::unsigned(agreement);
        for party in [owner, partner] {
            signed.sign(party, self.0.get(party).context("a party has no key")?)?;
        }
        Ok(signed.to_bytes())
    }
}

impl Deciding {
    fn set_up(bench: &Bench) -> anyhow::Result<Self> {
        let owner: MemberId = rows::MEMBER.parse()?;
        let partners: Vec<MemberId> = (0..bench.size + FURTHER)
            .map(|number| format!("P{number}").parse())
            .collect::<Result<_, _>>()?;
        let members = Members::of(&owner, &partners);
        let mut books = Vec::new();
        let mut book = Book::new(owner.clone());
        let mut further = Vec::new();
        for (number, partner) in (1..).zip(&partners) {
            let agreement = members.agree(&owner, partner)?;
            if number > bench.size {
                further.push(agreement);
                continue;
            }
            book.receive(DocumentKind::Agreement, &agreement, &members, NOW)?;
            if number == bench.size || FEWER.contains(&number) {
                books.push((number, book.clone()));
            }
        }
        let mut records = Vec::new();
        sealed::each(&rows::file(bench, RECORDS)?, |view| {
            records.push(view);
            Ok(())
        })?;
        let mut seen = HashSet::new();
        let new = |view: &&View| view.class_bytes().is_some_and(|class| seen.insert(class.to_vec()));
        let classes = records.iter().filter(new).cloned().collect();
        let member = partners.into_iter().next().context("no agreement was asked for")?;
        let members = Arc::new(members);
        let policies = books.iter().map(|(_, book)| policy(book, &members)).collect();
        Ok(Self {
            members,
            policies,
            owner,
            partner: Receiver {
                member,
                role: Role::National,
            },
            records,
            classes,
            books,
            further,
        })
    }

    fn session(&self, policy: &Policy) -> anyhow::Result<PeerSession> {
        match policy.session(self.partner.clone()) {
            SessionPolicy::Peer(session) => Ok(session),
            SessionPolicy::Upstream(_) => anyhow::bail!("the partner is no global node"),
        }
    }

    /// Decides under a policy.
    fn decide(&self, policy: &Policy) -> anyhow::Result<Costs> {
        let begun = Instant::now();
        for _ in 0..SESSIONS {
            black_box(self.session(policy)?).basis(&self.owner, NOW)?;
        }
        let session = each_us(begun, SESSIONS);

        let mut link = self.session(policy)?;
        link.basis(&self.owner, NOW)?;
        let mut permitted = 0;
        let mut decide = |record: &View| {
            let decision = link.decide(&self.owner, &record.borrowed(), NOW);
            permitted += u64::from(black_box(decision).permit().is_some());
        };
        let begun = Instant::now();
        self.classes.iter().for_each(&mut decide);
        let miss = each_us(begun, self.classes.len() as u64);
        let begun = Instant::now();
        self.records
            .iter()
            .cycle()
            .take(DECISIONS as usize)
            .for_each(&mut decide);
        let hit = each_us(begun, DECISIONS);
        ensure!(permitted > 0, "no record may go to the partner");
        Ok(Costs { hit, miss, session })
    }

    /// Takes further agreements into a policy, which so far has the book's; µs for one.
    fn adopt(&self, policy: &Policy) -> anyhow::Result<f64> {
        let begun = Instant::now();
        for agreement in &self.further {
            let change = policy.receive(DocumentKind::Agreement, agreement, NOW)?;
            ensure!(
                matches!(change, Change::Adopted { .. }),
                "an agreement was not taken in"
            );
        }
        Ok(each_us(begun, FURTHER))
    }

    fn measure(&self) -> anyhow::Result<Sample> {
        // Pass by pass over all policies, so that what else the machine does falls on all alike.
        let mut passes = vec![Vec::with_capacity(PASSES); self.policies.len()];
        for _ in 0..PASSES {
            for (policy, passes) in self.policies.iter().zip(&mut passes) {
                passes.push(self.decide(policy)?);
            }
        }
        let costs = passes.iter().map(|passes| Costs::median(passes));
        let costs: Vec<Costs> = costs.collect::<Option<_>>().context("no pass was made")?;
        // Copies, so that the books are the same in the next round; all stay until the last was used.
        let copies: Vec<Policy> = self.books.iter().map(|(_, book)| policy(book, &self.members)).collect();
        let adoptions = copies.iter().map(|policy| self.adopt(policy));
        let adoptions: Vec<f64> = adoptions.collect::<anyhow::Result<_>>()?;

        let (Some(first), Some(last)) = (costs.first(), costs.last()) else {
            anyhow::bail!("there is no book");
        };
        let mut sample = Sample::of(last.hit)
            .with("growth", last.hit / first.hit)
            .with("growth_of_miss", last.miss / first.miss)
            .with("growth_of_session", last.session / first.session);
        if let (Some(first), Some(last)) = (adoptions.first(), adoptions.last()) {
            sample = sample.with("growth_of_adoption", last / first);
        }
        for (((agreements, _), costs), adoption) in self.books.iter().zip(&costs).zip(&adoptions) {
            sample = sample
                .with(format!("with_{agreements}_hit_us"), costs.hit)
                .with(format!("with_{agreements}_miss_us"), costs.miss)
                .with(format!("with_{agreements}_session_us"), costs.session)
                .with(format!("with_{agreements}_adoption_us"), *adoption);
        }
        Ok(sample)
    }
}

fn policy(book: &Book, members: &Arc<Members>) -> Policy {
    Policy::new(book.clone(), members.clone(), Vec::new())
}

/// µs each of so many took.
fn each_us(begun: Instant, count: u64) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// What deciding costs, in µs.
#[derive(Clone, Copy)]
struct Costs {
    /// A decision on a record whose class was decided on before.
    hit: f64,
    /// One on a class that is new.
    miss: f64,
    /// Opening what a link decides by: the agreements with its partner are found and put together.
    session: f64,
}

impl Costs {
    fn median(passes: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| Some(Spread::over(passes.iter().map(of))?.median);
        Some(Self {
            hit: median(|pass| pass.hit)?,
            miss: median(|pass| pass.miss)?,
            session: median(|pass| pass.session)?,
        })
    }
}

impl Contestant for Deciding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        format!(
            "the median is a decision from a link's memory, over the {} classes of {RECORDS} records in a row; `miss` is the first \
             of a class (Cedar), `session` opening what a link decides by, `adoption` verifying and taking in an agreement more",
            self.classes.len()
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async { block_in_place(|| self.measure()) })
    }
}

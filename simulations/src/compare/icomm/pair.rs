//! Two nodes: an administration that issues, and the global node, which is granted the de-nominalised case of some goods.
//! What it gets is a type that has no place for a name, as a PostgreSQL column list has none; what it is not granted reaches
//! it as a hash.

use anyhow::Context as _;
use icomm_node::{
    environment::Environment,
    network::{
        Network, Node, Reach,
        terms::{self, Exchange},
    },
};
use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Agreement, Categories, Day, Terms};
use icomm_proto::v1;
use prost::bytes::Bytes;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    cost::Cost,
    seed::{self, Seeded},
};
use crate::compare::{
    network::{self, ARRIVE_WITHIN, NATIONAL, READY_WITHIN, ROOT, STOP_WITHIN},
    rows::{self, Rows},
    workload::Bench,
};

/// The two nodes, and what the second should hold of the first's log.
pub struct Pair {
    network: Network,
    sender: MemberId,
    receiver: MemberId,
    origin: String,
    agreement: Agreement,
    /// The agreement's versions so far.
    versions: u32,
    expected: Seeded,
}

impl Pair {
    /// Makes certificates and folders; nothing runs yet. The link is TCP with mutual TLS.
    ///
    /// # Errors
    /// A folder can't be made.
    pub fn prepare(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        Self::prepare_over(bench, name, Reach::Tls)
    }

    /// The same with another carrier. The receiver listens nowhere and dials, so that there is one link and it comes when
    /// the receiver does.
    ///
    /// # Errors
    /// A folder can't be made.
    pub fn prepare_over(bench: &Bench, name: &str, carrier: Reach) -> anyhow::Result<Self> {
        let since = Day::of(Environment::system().unix_now().saturating_sub(24 * 60 * 60))?;
        let (sender, receiver): (MemberId, MemberId) = (NATIONAL.parse()?, ROOT.parse()?);
        let categories = Categories::Only(rows::CATEGORIES.map(str::to_owned).into());
        let agreement = terms::one_way(&sender, &receiver, Exchange::denominalised(categories), since)?;
        let members = vec![
            network::member(NATIONAL, Role::National, carrier)?,
            network::member(ROOT, Role::Global, Reach::Nowhere)?,
        ];
        let network = network::prepare(bench, name, members, Vec::new())?;
        let origin = format!("{sender}/{}", network.node(&sender)?.config().identity.log);
        Ok(Self {
            network,
            sender,
            receiver,
            origin,
            agreement,
            versions: 0,
            expected: Seeded { entries: 0, covered: 0 },
        })
    }

    /// Fills the log of the sender, which does not run yet.
    ///
    /// # Errors
    /// See [`seed::own_log`].
    pub fn seed(&mut self, rows: &Rows, entries: u64) -> anyhow::Result<()> {
        let domain = &self.network.plan().trust_domain;
        self.expected = seed::own_log(self.sender()?, domain, rows, entries)?;
        Ok(())
    }

    /// The node that issues.
    ///
    /// # Errors
    /// None: it takes part.
    pub fn sender(&self) -> anyhow::Result<&Node> {
        Ok(self.network.node(&self.sender)?)
    }

    /// The node that gets.
    ///
    /// # Errors
    /// None: it takes part.
    pub fn receiver(&self) -> anyhow::Result<&Node> {
        Ok(self.network.node(&self.receiver)?)
    }

    /// The name of the sender's log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the receiver should hold of the log when all has arrived.
    pub fn expected(&self) -> Seeded {
        self.expected
    }

    /// So much more is about to be issued.
    pub fn expect(&mut self, more: Seeded) {
        self.expected.entries += more.entries;
        self.expected.covered += more.covered;
    }

    /// Starts the sender.
    ///
    /// # Errors
    /// It does not come into service.
    pub async fn start_sender(&mut self) -> anyhow::Result<()> {
        start(self.network.node_mut(&self.sender)?).await
    }

    /// Starts the sender anew, with an empty log.
    ///
    /// # Errors
    /// It does not come into service.
    pub async fn renew_sender(&mut self) -> anyhow::Result<()> {
        self.expected = Seeded { entries: 0, covered: 0 };
        renew(self.network.node_mut(&self.sender)?).await
    }

    /// Starts the receiver anew, with an empty store, and waits for its link to the sender.
    ///
    /// # Errors
    /// It does not come into service, or does not reach the sender.
    pub async fn renew_receiver(&mut self) -> anyhow::Result<()> {
        renew(self.network.node_mut(&self.receiver)?).await?;
        network::linked(self.receiver()?, 1).await
    }

    /// Starts both with the agreement in force.
    ///
    /// # Errors
    /// A node does not come into service, or refuses.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.start_sender().await?;
        self.renew_receiver().await?;
        let agreement = self.sign().await?;
        self.accept(agreement).await
    }

    /// The next version of the agreement, signed by both and in force nowhere yet.
    ///
    /// # Errors
    /// A node refuses.
    pub async fn sign(&mut self) -> anyhow::Result<Bytes> {
        self.versions += 1;
        let terms = Terms {
            version: self.versions,
            ..self.agreement.terms().clone()
        };
        let mut document = Bytes::copy_from_slice(Agreement::new(terms)?.canonical());
        for node in self.network.nodes() {
            document = node.sign_agreement(document).await?;
        }
        Ok(document)
    }

    /// Hands a signed agreement to the receiver, which passes it on to the sender by their link: from then on it is granted
    /// what the agreement says.
    ///
    /// # Errors
    /// The receiver refuses.
    pub async fn accept(&self, agreement: Bytes) -> anyhow::Result<()> {
        self.receiver()?.accept_agreement(agreement).await?;
        Ok(())
    }

    /// Has the sender suspend the agreement: nothing more goes until the next version.
    ///
    /// # Errors
    /// It refuses.
    pub async fn suspend(&self) -> anyhow::Result<()> {
        let id = self.agreement.id().as_str();
        let round_over = "the round of the comparison is over";
        self.sender()?.suspend_agreement(id, round_over).await?;
        Ok(())
    }

    /// Learns the moment at which the receiver holds the whole log durably, by watching for its last entry: that costs the
    /// receiver a look into its catalog whenever the log has grown, and nothing else.
    ///
    /// # Errors
    /// It can't be reached; and, in the task, it ends or the time is over.
    pub async fn arrival(&self) -> anyhow::Result<JoinHandle<anyhow::Result<Instant>>> {
        let last = self.expected.entries.checked_sub(1).context("nothing is expected")?;
        let request = v1::WatchRequest {
            origin: self.origin.clone(),
            from: Some(last),
        };
        let mut client = self.receiver()?.client().await?;
        let mut entries = client.watch(request).await?.into_inner();
        Ok(tokio::spawn(async move {
            let entry = timeout(ARRIVE_WITHIN, entries.message()).await;
            let entry = entry.context("not everything has arrived in time")??;
            let moment = Instant::now();
            anyhow::ensure!(entry.is_some_and(|entry| entry.index == last), "the receiver stopped");
            Ok(moment)
        }))
    }

    /// What both have cost so far.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn cost(&self) -> anyhow::Result<Cost> {
        Cost::of(self.sender()?.process_id(), self.receiver()?.process_id())
    }

    /// Has the receiver read and verify all that it holds, and compares the counts with what it should hold.
    ///
    /// # Errors
    /// They differ, or it does not verify.
    pub async fn check(&self) -> anyhow::Result<()> {
        let log = self.receiver()?.verify_log(&self.origin).await?;
        let Seeded { entries, covered } = self.expected;
        let found = (log.entries, log.disclosed, log.denominalised, log.withheld);
        let expected = (entries, 0, covered, entries - covered);
        anyhow::ensure!(
            found == expected,
            "the receiver holds {found:?} (entries, disclosed, de-nominalised, withheld); it should hold {expected:?}"
        );
        anyhow::ensure!(log.verified, "what the receiver holds does not verify");
        Ok(())
    }

    /// Stops both.
    ///
    /// # Errors
    /// A process can't be waited for.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        Ok(self.network.stop().await?)
    }
}

async fn start(node: &mut Node) -> anyhow::Result<()> {
    node.start()?;
    Ok(node.ready(READY_WITHIN).await?)
}

/// Starts a node as if it had never run.
async fn renew(node: &mut Node) -> anyhow::Result<()> {
    node.empty(STOP_WITHIN).await?;
    start(node).await
}

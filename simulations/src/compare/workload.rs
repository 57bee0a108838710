//! A workload: what is measured, and who takes part.

use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use super::{
    rows::Form,
    scale::{Scale, Sizes},
    series::Sample,
};

/// Where and how large a run is.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The program that is `icomm`: a link to this one.
    pub program: PathBuf,
    /// A folder for this run alone, on the disk that is measured.
    pub folder: PathBuf,
    /// How large.
    pub scale: Scale,
    /// The size of the workload under way, in what it counts.
    pub size: u64,
    /// What the rows are like.
    pub form: Form,
    /// Whether peers take part: not when only icomm's growth is measured.
    pub peers: bool,
}

impl Bench {
    /// As tests have it: nothing but rows is made, and in this folder.
    #[cfg(test)]
    pub fn of_test(folder: &Path, size: u64) -> Self {
        Self {
            program: "icomm".into(),
            folder: folder.to_owned(),
            scale: Scale::Tiny,
            size,
            form: Form::Long,
            peers: true,
        }
    }

    /// A new, empty folder for one contestant.
    ///
    /// # Errors
    /// It can't be made.
    pub fn fresh_folder(&self, name: &str) -> std::io::Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The folder whose rows are kept for all workloads of this run.
    pub fn shared_folder(&self) -> &Path {
        &self.folder
    }
}

/// What a contestant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// icomm itself.
    Icomm,
    /// Another product doing the same job as far as it can.
    Peer,
    /// icomm itself in another way, to be compared with the usual one.
    Variant,
    /// A bare part of the same work on this machine: what can't be beaten.
    Limit,
}

/// One side of a comparison, set up and ready: rounds of it alternate with those of the others.
pub trait Contestant: Send {
    /// Its name in tables and JSON, kebab-case: `icomm`, `postgresql`, `nats`, `hashing`.
    fn name(&self) -> &'static str;

    /// What it is.
    fn kind(&self) -> Kind;

    /// What a reader must know of its settings, in a line; empty if nothing.
    fn remark(&self) -> String {
        String::new()
    }

    /// One round, from a clean start to its end, with everything that it must not count done before and after the clock.
    /// It checks that what should have arrived has: a round with a wrong result is an error.
    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>>;

    /// Stops what it started. Dropping it does so less gently.
    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// A peer that can't take part.
#[derive(Debug, Clone)]
pub struct Absent {
    /// Its name, as a contestant would have it.
    pub name: &'static str,
    /// Why, and what would bring it.
    pub why: String,
}

/// Who takes part in a workload. icomm is the first.
#[derive(Default)]
pub struct Field {
    /// Those who take part.
    pub contestants: Vec<Box<dyn Contestant>>,
    /// Those who can't.
    pub absent: Vec<Absent>,
}

impl Field {
    /// With one more contestant.
    #[must_use]
    pub fn with(mut self, contestant: impl Contestant + 'static) -> Self {
        self.contestants.push(Box::new(contestant));
        self
    }

    /// With one more who is not installed perhaps.
    #[must_use]
    pub fn with_or_absent(mut self, contestant: Result<impl Contestant + 'static, Absent>) -> Self {
        match contestant {
            Ok(contestant) => self.contestants.push(Box::new(contestant)),
            Err(absent) => self.absent.push(absent),
        }
        self
    }
}

/// Whether more or less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A rate.
    Higher,
    /// A time or a size.
    Lower,
}

/// How a workload's cost may grow with its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// In proportion to the records: the slope of the whole cost over the size is at most 1.
    Linear,
    /// Not at all: the slope is 0.
    Flat,
    /// Not at all, told from a further figure of this name: where the workload's own says little of few records, as a
    /// percentile near the end does.
    FlatIn(&'static str),
}

/// What is measured.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Its name on the command line and in JSON.
    pub name: &'static str,
    /// What happens, in a line.
    pub what: &'static str,
    /// The unit of its figure.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Its size at each scale.
    pub sizes: Sizes,
    /// What its size counts: `records`, `entries in the log`, `agreements`.
    pub counts: &'static str,
    /// How its cost may grow with its size.
    pub growth: Growth,
    /// Sets up everybody who takes part.
    pub field: for<'a> fn(&'a Bench) -> BoxFuture<'a, anyhow::Result<Field>>,
}

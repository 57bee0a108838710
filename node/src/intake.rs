//! Intake: how an administration's files become records.
//!
//! A file (CSV, JSON Lines, XLSX) is read row by row in bounded memory ([`rows`]); a mapping that a clerk can write turns a
//! row into a draft ([`mapping`]); the driver ([`import`]) hands drafts in batches to a [`Sink`], which answers for each row.
//! One path serves the dry run, the local API and the tests. Nothing here validates a record or writes to a store: that is
//! the sink's business.
//!
//! ```text
//! file → rows → mapping → (key, draft) → sink → outcome → report, progress, summary
//!          │        │                       │
//!          └────────┴── faults ─────────────┴──────────→ report
//! ```
//!
//! What is promised: every row of the file is counted exactly once, a bad row is named with line, column, value and
//! reason and never stops the next one, and importing the same file again issues nothing twice ([`IntakeKey`]).

pub mod driver;
mod key;
pub mod mapping;
pub mod photo;
mod progress;
mod report;
pub mod rows;
mod sink;
mod summary;
pub mod synthetic;

pub use driver::{Cause, ImportError, Plan, import};
pub use key::Keys;
pub use mapping::{Columns, InvalidMapping, Mapping, Owner};
pub use photo::{PhotoRefused, Photograph, photograph};
pub use progress::{Bar, Progress, Unwatched};
pub use report::{Detail, Report};
pub use rows::{Fault, FaultKind, FileError, Format, ReadOptions, Source};
pub use sink::{DryRun, Outcome, RecordFault, Sink, Submission, validation};
pub use summary::{Counters, Summary};
pub use synthetic::{Form, Made, OTHER_GOODS_PER_MILLE, Synthetic, SyntheticError};

pub use crate::store::IntakeKey;

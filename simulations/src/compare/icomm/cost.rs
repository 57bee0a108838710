//! What the two nodes of a pair cost, each for itself.

use std::ops::Sub;

use crate::compare::{meter, series::Sample};

/// CPU seconds, user and system.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    sender: f64,
    receiver: f64,
}

impl Cost {
    /// So far, of the processes that run.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn of(sender: Option<u32>, receiver: Option<u32>) -> anyhow::Result<Self> {
        let seconds = |process: Option<u32>| meter::cpu_seconds(process.as_slice());
        Ok(Self {
            sender: seconds(sender)?,
            receiver: seconds(receiver)?,
        })
    }

    /// So many records delivered in so many seconds, at this cost.
    pub fn rate(self, delivered: u64, seconds: f64) -> Sample {
        self.beside(Sample::of(delivered as f64 / seconds), delivered)
    }

    /// A figure with what it cost to deliver so many records.
    pub fn beside(self, sample: Sample, delivered: u64) -> Sample {
        let each = |cpu: f64| cpu * 1e6 / delivered as f64;
        let sample = Sample {
            cpu_us_per_record: Some(each(self.sender + self.receiver)),
            ..sample
        };
        sample
            .with("sender_cpu_us_per_record", each(self.sender))
            .with("receiver_cpu_us_per_record", each(self.receiver))
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sender: self.sender - before.sender,
            receiver: self.receiver - before.receiver,
        }
    }
}

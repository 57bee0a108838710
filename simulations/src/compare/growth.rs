//! How cost grows: a workload at sizes a decade apart, and the slope of the line through them in a log-log plot.

use super::{
    series::Series,
    workload::{Better, Growth, Workload},
};

/// A decade apart each.
pub const STEPS: u32 = 3;

/// What the sizes of a workload came to.
#[derive(Clone)]
pub struct Curve {
    /// Which.
    pub workload: Workload,
    /// Size and whole cost: seconds for a rate, the figure itself otherwise.
    pub points: Vec<(u64, f64)>,
}

impl Curve {
    /// The whole cost at a size, out of what was measured there. `None` if that lacks the figure.
    pub fn cost(workload: &Workload, size: u64, measured: &Series) -> Option<f64> {
        let figure = match workload.growth {
            Growth::FlatIn(name) => measured.figures.get(name)?.median,
            Growth::Linear | Growth::Flat => measured.value.median,
        };
        Some(match workload.better {
            Better::Higher => size as f64 / figure,
            Better::Lower => figure,
        })
    }

    /// The slope by least squares: 1 is in proportion, 0 is not at all. `None` of fewer than two sizes.
    pub fn slope(&self) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|(size, cost)| ((*size as f64).ln(), cost.ln()))
            .collect();
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let across: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        (points.len() > 1 && across > 0.0).then(|| along / across)
    }

    /// The steepest slope that is allowed, with room for noise.
    pub fn allowed(&self) -> f64 {
        match self.workload.growth {
            Growth::Linear => 1.1,
            Growth::Flat | Growth::FlatIn(_) => 0.1,
        }
    }

    /// The sizes, smallest first: the largest is the workload's own.
    pub fn sizes(largest: u64) -> Vec<u64> {
        (0..STEPS)
            .rev()
            .map(|step| (largest / 10u64.pow(step)).max(1))
            .collect()
    }
}

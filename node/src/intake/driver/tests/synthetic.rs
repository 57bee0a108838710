//! Synthetic files through the whole import: what was made is what is counted.

use super::*;
use crate::intake::Synthetic;
use crate::intake::sink::validation;

#[tokio::test]
async fn good_rows_are_valid_and_bad_ones_rejected() {
    let mapping = Arc::new(Mapping::builtin("icomm-template", &test_lists()).unwrap());
    let members: Vec<MemberId> = ["KE", "UG"].map(|id| id.parse().unwrap()).to_vec();
    let synthetic = Synthetic {
        members: members.clone(),
        rows: 3_000,
        seed: 11,
        bad_per_mille: 30,
        foreign_per_mille: 20,
    };
    let mut file = Vec::new();
    let made = synthetic.write(&mut file, &mapping).unwrap();
    for member in &members {
        let mut plan = Plan::new(Arc::clone(&mapping), member.clone());
        plan.others = members.iter().cloned().collect();
        let source = Source::from_bytes(Cursor::new(file.clone()), ReadOptions::default()).unwrap();
        let sink = DryRun::issuing(validation(test_lists(), member.clone()));
        let lines = Shared::default();
        let mut report = Report::new(lines.clone(), Detail::Rejected);
        let summary = import(source, &plan, &sink, &mut report, &Unwatched, &CancellationToken::new())
            .await
            .unwrap();
        let counters = summary.counters;
        assert!(counters.add_up() && summary.unused_columns.is_empty());
        assert_eq!(counters.rows, made.rows);
        assert_eq!(counters.foreign, made.foreign);
        assert_eq!(counters.unattributed, made.unattributed);
        let rejected = counters.rejected - counters.unattributed;
        let shown = || {
            lines
                .lines()
                .iter()
                .take(5)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            (counters.issued, rejected),
            (made.good[member], made.bad[member]),
            "{}",
            shown()
        );
    }
}

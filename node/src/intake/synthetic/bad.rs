//! Ways in which real rows are bad.

use super::Cells;
use super::random::Random;

/// Spoils a good row. True: a reader can still tell whose it is.
pub(super) fn spoil(cells: &mut Cells<'_>, random: &mut Random) -> bool {
    match random.below(9) {
        0 => cells.set("goods_1_unit", "handfuls"),
        1 => cells.set("seizure_date", "2024-02-31"),
        2 => cells.set("seizure_date", ""),
        3 => cells.set("goods_1_kind", "cocain-ish"),
        4 => cells.set("leg_1_country", "Multiple Countries"),
        5 => cells.set("vessel_imo", "1234568"),
        6 => cells.set("goods_1_quantity", "about 3"),
        7 => cells.set("administration", "somebody"),
        // A delimiter got lost: the row has a cell too few.
        _ => {
            cells.texts.pop();
        }
    }
    !matches!(cells.texts.first().map(String::as_str), Some("somebody")) && cells.texts.len() == cells.places.len()
}

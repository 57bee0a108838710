//! Drafts to start from, in TOML with comments: a lawyer fills them in, the parties sign what it says then.

use std::fmt::Write;

use icomm_pki::MemberId;

use super::words::{AgreementId, Day};

const HEAD: &str = r#"# What stands after a # is a remark and not part of what the parties sign.
# Check what you wrote with:  icomm agreement show FILE      Sign it with:  icomm agreement sign FILE
# Nothing may be exchanged before every party has signed exactly the same text.

format = "icomm-agreement/v1"

# The name of the agreement, the same in all its versions. To change anything later, raise the version and sign again;
# the higher version takes the place of the lower one on the day it enters into force.
"#;

const DAYS: &str = r#"
# Days begin and end at midnight UTC.
# signed_on = 2026-11-23        # for the record
"#;

const AFTER_DAYS: &str = r#"# in_force_until = 2031-12-31   # the last day; leave it out for an agreement without an end
# afterwards = "Articles 7 and 9 (data protection, secrecy) continue to bind for what was exchanged before."
reply_within_days = 30          # for questions about records that were sent
"#;

const GRANT_NOTES: &str = r#"
# ---------------------------------------------------------------------------------------------------------------------
# Grants: one for each direction, or for each purpose. What no grant covers is not sent.
#
# kinds       "seizure", "suspect", "company"
# categories  "all", or codes such as ["drugs", "tobacco"]. With codes, only records all of whose goods fall under them;
#             records without goods (a suspect, a company) need "all".
# sections    case        what identifies nobody: codes, month, quantity band. Always needed.
#             exact       exact dates, amounts, places, vessels, containers
#             references  national reference, seals, bills of lading, vehicle registrations   (identifies)
#             persons     names, birth dates, papers, addresses of persons                    (identifies)
#             companies   names, registration numbers, addresses of companies                 (identifies)
#             narrative   free text                                                           (may identify)
#             images      photos, X-ray pictures, documents                                   (may identify)
# purposes    "customs-control", "risk-analysis", "investigation", "prosecution", "revenue-recovery", "statistics"
# use_in_court "no", "with-consent", "yes"
# handling    the most restricted handling code that is still sent: H0, H1, H2, H3
# retention   for how many days after its receipt the receiver keeps what identifies somebody, and what it does then: "erase",
#             or "restrict": keep it, and show it to nobody. The section case, which identifies nobody, stays
# onward      whether the receiver may pass records on:
#               { rule = "none" }          to nobody
#               { rule = "with-consent" }  record by record, any section, when the originator's officer has approved it
#                                          (icomm consent --help)
#               { rule = "listed", members = ["TZ"], sections = ["case"], handling = "H1" }
#               { rule = "region", sections = ["case"], handling = "H1" }    to the members of the receiver's region
#             Without consent only case and exact can go onward; and always only to a member that has an agreement with
#             the receiver.
# upstream    whether the receiver may pass `case`, and photos that you cleared, nothing else, to the global node
# under       articles or annexes that the grant rests on; both sides must have accepted them
# condition   a further condition, e.g.  'resource.report_type == "seizure"'
"#;

/// A draft between two members, `a` and `b`, in force from `day`: the same in both directions.
#[must_use]
pub fn bilateral(id: &AgreementId, a: &MemberId, b: &MemberId, day: Day) -> String {
    let mut text = head(
        id,
        &format!("Agreement on customs information between {a} and {b}"),
        day,
    );
    text.push_str(&instrument(
        "bilateral",
        "Agreement on mutual administrative assistance in customs matters",
    ));
    for member in [a, b] {
        text.push_str(&party(
            member,
            "customs administration",
            r#"["article 5", "article 9"]"#,
        ));
    }
    text.push_str(GRANT_NOTES);
    for (from, to) in [(a, b), (b, a)] {
        let _ = write!(
            text,
            r#"
[[grants]]
from = "{from}"
to = "{to}"
under = ["article 5"]
kinds = ["seizure", "suspect", "company"]
categories = "all"
sections = ["case", "exact", "references", "persons", "companies"]
purposes = ["customs-control", "risk-analysis", "investigation"]
use_in_court = "with-consent"
handling = "H1"
retention = {{ days = 1825, then = "erase" }}
onward = {{ rule = "none" }}
upstream = false
"#
        );
    }
    text
}

/// A draft for a region: the liaison office `office` and its `members`, in force from `day`. Members send to the office,
/// which shares within the region what identifies nobody, and passes on the open section to the global node.
#[must_use]
pub fn regional(id: &AgreementId, office: &MemberId, members: &[MemberId], day: Day) -> String {
    let mut text = head(
        id,
        &format!("Arrangement on customs information in the region of {office}"),
        day,
    );
    text.push_str(&instrument(
        "regional",
        "Regional arrangement on the exchange of customs information",
    ));
    text.push_str(&party(office, "regional intelligence liaison office", "[]"));
    for member in members {
        text.push_str(&party(member, "customs administration", "[]"));
    }
    text.push_str(GRANT_NOTES);
    let _ = write!(
        text,
        r#"
# From every member to the office, which may share `case` within the region and pass it on to the global node.
[[grants]]
from = "parties"
to = "{office}"
kinds = ["seizure", "suspect", "company"]
categories = "all"
sections = ["case", "exact"]
purposes = ["risk-analysis", "statistics"]
use_in_court = "no"
handling = "H2"
retention = {{ days = 3650, then = "erase" }}
onward = {{ rule = "region", sections = ["case"], handling = "H1" }}
upstream = true

# From the office to every member: its own records, and those of others as far as they may go onward.
[[grants]]
from = "{office}"
to = "parties"
kinds = ["seizure", "suspect", "company"]
categories = "all"
sections = ["case", "exact"]
purposes = ["customs-control", "risk-analysis", "statistics"]
use_in_court = "no"
handling = "H2"
retention = {{ days = 1825, then = "erase" }}
onward = {{ rule = "none" }}
upstream = false
"#
    );
    text
}

/// A draft for a member's contribution to the global node, in force from `day`: the open section only, in one direction.
#[must_use]
pub fn contribution(id: &AgreementId, member: &MemberId, global: &MemberId, day: Day) -> String {
    let mut text = head(
        id,
        &format!("Contribution of {member} to the global depository of {global}"),
        day,
    );
    text.push_str(&instrument(
        "memorandum",
        "Memorandum on contributions to the global seizure database",
    ));
    text.push_str(&party(member, "customs administration", "[]"));
    text.push_str(&party(global, "global depository", "[]"));
    text.push_str(GRANT_NOTES);
    let _ = write!(
        text,
        r#"
# The global node holds `case` and nothing else, whatever is written here.
[[grants]]
from = "{member}"
to = "{global}"
kinds = ["seizure", "suspect", "company"]
categories = "all"
sections = ["case"]
purposes = ["risk-analysis", "statistics"]
use_in_court = "no"
handling = "H2"
retention = {{ days = 3650, then = "erase" }}
onward = {{ rule = "none" }}
upstream = false
"#
    );
    text
}

fn head(id: &AgreementId, title: &str, day: Day) -> String {
    format!("{HEAD}id = \"{id}\"\nversion = 1\ntitle = \"{title}\"\n{DAYS}in_force_from = {day}\n{AFTER_DAYS}")
}

fn instrument(kind: &str, name: &str) -> String {
    format!(
        "\n# The legal text on which the exchange rests: bilateral, regional, convention or memorandum.\n\
         [instrument]\ntype = \"{kind}\"\nname = \"{name}\"\n# reference = \"Official gazette …\"\n"
    )
}

fn party(member: &MemberId, name: &str, accepts: &str) -> String {
    let remark = if accepts == "[]" { "# " } else { "" };
    format!(
        "\n[[parties]]\nmember = \"{member}\"\nname = \"{member} {name}\"\nauthority = \"Director General\"\n\
         {remark}accepts = {accepts}    # articles or annexes that this party has accepted\n"
    )
}

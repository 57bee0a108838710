//! Which liaison office is whose, as far as public sources say.
//!
//! The WCO lists twelve offices and no complete table of their members. `listed` are members that a public source names
//! (office websites, press items); `inferred` are guesses by geography, and the demo says so wherever it uses one. In a
//! real network the trust bundle's directory decides.

use icomm_pki::MemberId;

use crate::network::{Basis, Region};

struct Office {
    id: &'static str,
    listed: &'static str,
    inferred: &'static str,
}

const OFFICES: [Office; 12] = [
    Office {
        id: "RILO-AP",
        listed: "AU BD BT KH CN FJ HK IN ID IR JP KR NZ MO MY MV MN MM PK PH SG TH TO VU VN",
        inferred: "AF BN LA NP PG WS LK TL",
    },
    Office {
        id: "RILO-ESA",
        listed: "AO BW BI ET KE LS MG MW MU MZ NA RW SC ZA SZ TZ UG ZM ZW",
        inferred: "",
    },
    Office {
        id: "RILO-CA",
        listed: "BI CM CG GA CF CD TD",
        inferred: "GQ ST",
    },
    Office {
        id: "RILO-WA",
        listed: "SN",
        inferred: "BJ BF CV CI GM GH GN GW LR ML MR NE NG SL TG",
    },
    Office {
        id: "RILO-ME",
        listed: "SA JO AE BH QA KW YE OM LB SY",
        inferred: "IQ PS",
    },
    Office {
        id: "RILO-NA",
        listed: "",
        inferred: "DZ EG LY MA SD TN",
    },
    Office {
        id: "RILO-ECE",
        listed: "AL HR EE GE GR LT MK PL RO RS",
        inferred: "BA BG CY CZ HU LV ME MD SK SI TR UA XK IL",
    },
    Office {
        id: "RILO-WE",
        listed: "",
        inferred: "AD AT BE CH DE DK ES FI FR GB IE IS IT LU MT NL NO PT SE",
    },
    Office {
        id: "RILO-CIS",
        listed: "RU KG UZ",
        inferred: "AM AZ BY KZ TJ TM",
    },
    Office {
        id: "RILO-SA",
        listed: "AR BR BO CL CO EC PY PE VE UY",
        inferred: "GY SR",
    },
    Office {
        id: "RILO-CAR",
        listed: "",
        inferred: "AG BB BM BS BZ CU CW DO HT JM LC TT VC",
    },
    Office {
        id: "RILO-CAM",
        listed: "GT SV HN NI CR PA",
        inferred: "",
    },
];

/// The offices of a member, those that a source lists first.
pub(super) fn of(member: &MemberId) -> Vec<Region> {
    let names = |list: &str| list.split(' ').any(|name| name == member.as_str());
    let mut regions: Vec<Region> = OFFICES
        .iter()
        .filter_map(|office| {
            let basis = match (names(office.listed), names(office.inferred)) {
                (true, _) => Basis::Listed,
                (false, true) => Basis::Inferred,
                (false, false) => return None,
            };
            // The ids above are constants; the test below reads every one of them.
            let office = office.id.parse().ok()?;
            Some(Region { office, basis })
        })
        .collect();
    regions.sort_by_key(|region| region.basis);
    regions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Basis, MemberId, OFFICES, of};

    #[test]
    fn every_id_can_be_read_and_no_member_is_listed_twice_in_an_office() {
        for office in &OFFICES {
            office.id.parse::<MemberId>().unwrap();
            let members: Vec<&str> = [office.listed, office.inferred]
                .into_iter()
                .flat_map(|list| list.split(' ').filter(|name| !name.is_empty()))
                .collect();
            let unique: BTreeSet<_> = members.iter().collect();
            assert_eq!(unique.len(), members.len(), "{}", office.id);
            assert!(!members.is_empty(), "{}", office.id);
            for member in members {
                let regions = of(&member.parse().unwrap());
                assert!(
                    regions.iter().any(|region| region.office.as_str() == office.id),
                    "{member}"
                );
            }
        }
    }

    #[test]
    fn a_member_may_have_one_office_or_two_or_none() {
        let offices = |member: &str| -> Vec<(String, Basis)> {
            let regions = of(&member.parse().unwrap());
            regions
                .into_iter()
                .map(|region| (region.office.to_string(), region.basis))
                .collect()
        };
        assert_eq!(offices("ES"), [("RILO-WE".to_owned(), Basis::Inferred)]);
        assert_eq!(offices("KE"), [("RILO-ESA".to_owned(), Basis::Listed)]);
        assert_eq!(offices("BI").len(), 2);
        assert_eq!(offices("US"), []);
    }
}

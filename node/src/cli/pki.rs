//! `icomm pki`: the authorities' side of identity, and putting their answers in place.
//!
//! An authority is a folder (see [`folder`]); it needs no running node and may stay off-line.

use clap::Subcommand;

use super::{Context, Exit, Failure};

mod bundle;
mod folder;
mod install;
mod issue;
mod region;
mod retire;
mod revoke;
mod root;
mod show;

/// Identity: authorities, enrolment, trust bundle
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A network from nothing (no private key is ever copied):
  at the WCO     icomm pki root --authority root-ca --member WCO --trust-domain demo.icomm.example
                 icomm init --home wco --member WCO --node hub --trust-domain demo.icomm.example
                 icomm pki issue wco/identity/request.pem --authority root-ca --role global --out wco.pem
  at Kenya       icomm init --home ke --member KE --node gw1 --trust-domain demo.icomm.example
                 (send ke/identity/request.pem, read the fingerprint by telephone)
  at the WCO     icomm pki issue ke-request.pem --authority root-ca --role national \\
                     --address tls://gw1.ke.example:7443 --out ke.pem
                 icomm pki bundle --authority root-ca --home wco --out bundle.json
                 icomm pki install wco.pem bundle.json --home wco
                 (send ke.pem and bundle.json back)
  at Kenya       icomm pki install ke.pem bundle.json --home ke --root-fingerprint AB:CD:…
                 icomm run --home ke

A regional office that certifies its own members:
  at the office  icomm pki region --authority esa-ca --member RILO-ESA --trust-domain demo.icomm.example
                 (send esa-ca/public/request.pem)
  at the WCO     icomm pki issue-region esa-request.pem --authority root-ca --members KE UG TZ --out esa-chain.pem
  at the office  icomm pki region --authority esa-ca --chain esa-chain.pem
                 icomm pki issue …  --authority esa-ca
                 (send a copy of esa-ca/public to the WCO, which holds no secret, for `pki bundle --include`)")]
pub(super) enum Pki {
    Root(root::Root),
    Region(region::Region),
    IssueRegion(region::IssueRegion),
    Issue(issue::Issue),
    Revoke(revoke::Revoke),
    Retire(retire::Retire),
    Bundle(bundle::Bundle),
    Install(install::Install),
    Update(install::Update),
    Show(show::Show),
}

impl Pki {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Root(command) => command.run(context),
            Self::Region(command) => command.run(context),
            Self::IssueRegion(command) => command.run(context),
            Self::Issue(command) => command.run(context),
            Self::Revoke(command) => command.run(context),
            Self::Retire(command) => command.run(context),
            Self::Bundle(command) => command.run(context),
            Self::Install(command) => command.run(context),
            Self::Update(command) => command.run(context).await,
            Self::Show(command) => command.run(context),
        }
    }
}

pub(super) use folder::in_file;

#[cfg(test)]
mod tests;

//! The `icomm` program. Everything it does is in the library; here is only how a process starts and ends.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for the whole process, named explicitly: with two in the tree rustls would refuse to choose.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is already installed in this process");
        return ExitCode::FAILURE;
    }
    icomm_node::cli::main()
}

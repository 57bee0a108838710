//! icomm-simulations

//! The tables of the limits: what clients took today, what operators have set, and which processes share both.

pub mod egress;
pub mod instances;
pub mod settings;

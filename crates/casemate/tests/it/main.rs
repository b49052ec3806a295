//! End-to-end tests: the real program, run as a user would run it.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "the tests run the program as a user would")]

mod adding;
mod cells;
mod configuration;
mod connecting;
mod demonstration;
mod enclosed;
mod explaining;
mod flows;
mod gateway;
mod help;
mod home;
mod https;
mod images;
mod interceptors;
mod keyrings;
mod keys;
mod learning;
mod limits;
mod logins;
mod names;
mod packages;
mod people;
mod pins;
mod policy;
mod quarantine;
mod real;
mod results;
mod running;
mod secrets;
mod service;
mod serving;
mod sockets;
mod stopped;
mod telling;

//! The OpenDJ tools by their linked names, against a server started for each test; effects are looked at with
//! OpenLDAP's `ldapsearch`, which is nobody's relation.

mod configuration;
mod entries;
mod fixture;
mod generated;
mod guide;

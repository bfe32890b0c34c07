DROP TABLE numbered; DROP TABLE entries; DROP TABLE owners;

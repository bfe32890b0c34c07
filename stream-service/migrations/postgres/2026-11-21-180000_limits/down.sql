DROP TABLE instances;
DROP TABLE limit_settings;
DROP TABLE egress;

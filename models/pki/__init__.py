"""Who may speak to the MQTT broker: names, certificates, signatures. Pure: keys, times and numbers are arguments."""

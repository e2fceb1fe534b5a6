"""What a dispenser is built of: motor, camera, buttons and display, vision."""

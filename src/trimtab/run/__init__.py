"""The run loop: plan, route, execute. Writes facts and reads the pin; knows nothing of the learn loop."""

output "id" {
  description = "Id of the machine."
  value       = yandex_compute_instance.this.id
}

output "public_address" {
  description = "Public address; empty if it has none."
  value       = yandex_compute_instance.this.network_interface[0].nat_ip_address
}

output "settings" {
  description = "The metadata `settings`, as the machine reads them."
  value       = yandex_compute_instance.this.metadata.settings
}

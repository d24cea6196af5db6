variable "name" {
  description = "Name of the machine in the console."
  type        = string
}

variable "hostname" {
  description = "Full name within the network."
  type        = string
}

variable "zone" {
  description = "Availability zone."
  type        = string
}

variable "labels" {
  description = "Labels of the machine."
  type        = map(string)
}

variable "size" {
  description = "Memory and disk in GB; a preemptible machine is cheaper and is stopped at least once a day."
  type        = object({ cores = number, memory = number, disk = number, preemptible = optional(bool, false) })
}

variable "image_id" {
  description = "Image of the boot disk. A newer image does not replace an existing machine."
  type        = string
}

variable "kms_key_id" {
  description = "Key that encrypts the disk."
  type        = string
}

variable "service_account_id" {
  description = "Service account of the machine."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of its only network interface."
  type        = string
}

variable "security_group_id" {
  description = "Its only security group."
  type        = string
}

variable "public_address" {
  description = "Whether it gets a public address, which it then uses instead of the NAT gateway."
  type        = bool
  default     = false
}

variable "admin_key" {
  description = "Public SSH key of the account `admin`, which may use sudo; null creates no such account."
  type        = string
}

variable "users" {
  description = "Other accounts, as cloud-init describes them."
  type        = list(object({ name = string, system = bool, shell = string, homedir = string }))
  default     = []
}

variable "packages" {
  description = "Debian packages to install."
  type        = list(string)
  default     = []
}

variable "files" {
  description = "Content by path, without secrets and ids. Files in an sbin folder are executable."
  type        = map(string)
}

variable "commands" {
  description = "Shell commands to run at the first boot."
  type        = list(string)
}

variable "settings" {
  description = "Metadata for render_secrets.py: ids of the Lockbox secrets, and values known only after an apply."
  type        = object({ secrets = list(string), values = map(string) })
}
